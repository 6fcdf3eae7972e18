/** What a plugin needs: the extension points and the words of the domain. Types only, but for the error. */
export type {Extend, Extension, PluginTools} from './engine/extensions.ts'
export type {QemuConfig} from './hypervisor/qemu/settings.ts'
export type {
  Checkpoint,
  CheckpointOptions,
  Holding,
  Hypervisor,
  Notify,
  OperationOptions,
  Restoration,
  SshAddress,
  VmDisk,
} from './hypervisor/hypervisor.ts'
export type {DownloadProgress, FetchedImage, FetchOptions, ImageSource} from './image/image-source.ts'
export type {BackendField, BackendNode, BackendSettings, Effect} from './model/backend-node.ts'
export type {CloudInitConfig} from './model/cloud-init.ts'
export {isVmctlError, VmctlError, type Failure, type FailureFacts, type VmctlErrorOptions} from './model/errors.ts'
export type {CatalogueLayout, CatalogueRelease, CatalogueSignature, Publisher} from './model/catalogue.ts'
export type {
  BackendSections,
  BackendTag,
  BaseImage,
  FirmwareConfig,
  ImageFormat,
  ImageReference,
  NetworkConfig,
  Observation,
  SshConfig,
  Vm,
  VmSpec,
  VmState,
} from './model/vm.ts'
export type {FileSettings, OwnStep, PluginStep, ProvisionStep, RebootSettings, RunMode, ShellCommand, ShellSettings} from './model/steps.ts'
export {quote} from './model/quote.ts'
export type {Delivered, Guest, GuestExecOptions, GuestExit, GuestUploadOptions, Provisioner, StepContext} from './provision/provisioner.ts'
