/** What a plugin needs: the extension points and the words of the domain. Types only, but for the error. */
export type {Extension} from './engine/extensions.ts'
export type {ConsoleEndpoint, Hypervisor, Notify, OperationOptions} from './hypervisor/hypervisor.ts'
export type {DownloadProgress, FetchedImage, FetchOptions, ImageSource} from './image/image-source.ts'
export {isVmctlError, VmctlError} from './model/errors.ts'
export type {
  BackendTag,
  BaseImage,
  CloudInitConfig,
  FirmwareConfig,
  ImageFormat,
  ImageReference,
  NetworkConfig,
  Observation,
  ProvisionStep,
  RunMode,
  QemuConfig,
  SshConfig,
  Vm,
  VmSpec,
  VmState,
} from './model/vm.ts'
export {quote} from './model/quote.ts'
export type {Delivered, Guest, GuestExecOptions, GuestExit, GuestUploadOptions, Provisioner, StepContext} from './provision/provisioner.ts'
