import {isUserName} from '../../model/names.ts'
import {text} from './kinds.ts'
import type {Kind} from './shapes.ts'

export const userName = text('user name', {
  rule: 'lower-case letters, digits, _ and -; it starts with a letter or _',
  isValid: isUserName,
  example: '"ubuntu"',
})
export const interfaceName = (example: string): Kind<string> =>
  text('interface name', {
    rule: 'at most 15 characters, without spaces and /',
    isValid: (name) => name.length <= 15 && /^[\w.:@-]+$/.test(name) && !/^\.+$/.test(name),
    example,
  })
/** As dladm_valid_linkname() of illumos' libdladm has it; a link name of 32 bytes ends with a NUL. */
export const vnicName = text('VNIC name', {
  rule: 'at most 31 letters, digits, _ and .; it starts with a letter and ends in a digit',
  isValid: (name) => name.length <= 31 && /^[A-Za-z][\w.]*\d$/.test(name),
  example: '"vnic0"',
})
export const ownerName = text('owner', {
  rule: 'write "user" or "user:group"',
  isValid: (owner) => /^(?:[a-z_][a-z0-9_-]{0,31}|\d{1,10})(?::(?:[a-z_][a-z0-9_-]{0,31}|\d{1,10}))?$/.test(owner),
  example: '"root:root"',
})
export const guestPath = text('path in the guest', {
  rule: 'it must be absolute: it starts with /',
  isValid: (name) => name.startsWith('/'),
  example: '"/etc/app.conf"',
})
export const variableName = {
  isKey: (key: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(key),
  keyRule: 'a variable has letters, digits and _, and does not start with a digit',
}
export const names = {
  isKey: (key: string): boolean => /^[A-Za-z0-9](?:[\w./-]{0,61}[A-Za-z0-9])?$/.test(key),
  keyRule: 'a label has letters, digits and . _ / - within, and at most 63 characters',
}
