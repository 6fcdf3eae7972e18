import {createHash} from 'node:crypto'

import {isStepOf, type ProvisionStep} from './steps.ts'
import type {ImageReference, VmSpec} from './vm.ts'

/** What stands for a secret wherever one would be shown or kept. */
export const mask = '***'

/**
 * The steps without the values of `secretEnv`, for the record of a VM. A changed value is noticed all the same: the journal
 * has a hash of every step.
 */
const stepsWithoutSecrets = (steps: readonly ProvisionStep[]): readonly ProvisionStep[] =>
  steps.map((step) => {
    if (!isStepOf(step, 'shell') || !step.settings.secretEnv) return step
    const masked = Object.fromEntries(Object.keys(step.settings.secretEnv).map((name) => [name, mask]))
    return {...step, settings: {...step.settings, secretEnv: masked}}
  })

/** A URL as it may be shown and stored: without user and password, fragment, and the values of its query, which are often tokens. */
export const displayUrl = (url: URL): string => {
  // As it stands in the URL: a decoded key could hold control characters, and a key without a value may be the token itself.
  const query = url.search
    .slice(1)
    .split('&')
    .map((part) => (part.includes('=') ? `${part.split('=', 1)[0]}=…` : part && '…'))
    .join('&')
  return `${url.protocol}//${url.host}${url.pathname}${query === '' ? '' : `?${query}`}`
}

/** Tells a query from another one without repeating it. */
const queryMark = /#query-[0-9a-f]{16}$/

/** A URL as it is recorded: as it may be shown, with a mark that tells its query from others. */
export const recordedUrl = (text: string): string => {
  if (queryMark.test(text) || !URL.canParse(text)) return text
  const url = new URL(text)
  const mark = url.search === '' ? '' : `#query-${createHash('sha256').update(url.search).digest('hex').slice(0, 16)}`
  return `${displayUrl(url)}${mark}`
}

/** What is shown of where an image comes from. */
export const displaySource = ({kind, source}: ImageReference): string =>
  kind === 'url' ? recordedUrl(source).replace(queryMark, '') : source

const recordedImage = (image: ImageReference): ImageReference =>
  image.kind !== 'url'
    ? image
    : {...image, source: recordedUrl(image.source), ...(image.checksumUrl !== undefined && {checksumUrl: recordedUrl(image.checksumUrl)})}

/** A spec as it is recorded and compared: without the values of secrets, and with image URLs without passwords and tokens. */
export const withoutSecrets = (spec: VmSpec): VmSpec => ({
  ...spec,
  image: recordedImage(spec.image),
  provision: stepsWithoutSecrets(spec.provision),
})
