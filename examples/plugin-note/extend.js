// Called once per command. What is heavy belongs behind an `await import` inside of the parts.
import {directorySource} from './directory-source.js'
import {noteProvisioner, notWritten} from './note-provisioner.js'
import {paperHypervisor} from './paper-hypervisor.js'

/** @type {import('vmctl/plugin').Extend} */
export default function extend(tools) {
  return {
    provisioners: [noteProvisioner(tools)],
    imageSources: [directorySource],
    hypervisors: [paperHypervisor(tools)],
    failures: [notWritten],
  }
}
