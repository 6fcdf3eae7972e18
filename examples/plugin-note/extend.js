// Called once per command. What is heavy belongs behind an `await import` inside of the parts.
import {directorySource} from './directory-source.js'
import {noteProvisioner} from './note-provisioner.js'
import {paperHypervisor} from './paper-hypervisor.js'

/** @returns {import('vmctl/plugin').Extension} */
export default function extend() {
  return {provisioners: [noteProvisioner], imageSources: [directorySource], hypervisors: [paperHypervisor]}
}
