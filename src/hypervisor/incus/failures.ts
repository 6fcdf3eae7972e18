import {exitCodes} from '../../model/exit-codes.ts'
import type {Failure} from '../../model/failures.ts'

const {host, notFound, state, timeout} = exitCodes

/** What can go wrong between vmctl and an Incus server, and on it. */
export const incusFailures = {
  unreachable: {
    code: 'vmctl::incus::unreachable',
    exit: host,
    help: 'Check the network and that incusd runs there (`systemctl status incus`), then run the command again.',
  },
  notReady: {
    code: 'vmctl::incus::not_ready',
    exit: host,
    help: 'A member that is needed is down, or most of the cluster is: `vmctl doctor --home NAME` says which. Then run the command again.',
  },
  wrongServer: {
    code: 'vmctl::incus::wrong_server',
    exit: host,
    help: 'Nothing was sent to it. If its certificate was renewed on purpose, make the home anew: `vmctl home rm NAME`, then `vmctl home add`.',
  },
  untrusted: {
    code: 'vmctl::incus::untrusted',
    exit: host,
    help: 'Let the server trust this home: `incus config trust add NAME` there prints a token for `vmctl home add NAME URL --token -`.',
  },
  restricted: {
    code: 'vmctl::incus::restricted',
    exit: host,
    help: 'The certificate of the home is for some projects only: name one of them, or have the certificate widened (`incus config trust edit`).',
  },
  notIncus: {
    code: 'vmctl::incus::not_incus',
    exit: host,
    help: 'Check the URL: it is that of the Incus API, as in https://10.0.0.11:8443.',
  },
  unexpectedAnswer: {
    code: 'vmctl::incus::unexpected_answer',
    exit: host,
    help: 'Check the version of the server: `vmctl doctor --home NAME`.',
  },
  noVms: {
    code: 'vmctl::incus::no_vms',
    exit: host,
    help: 'Its VMs need /dev/kvm and /dev/vhost-vsock on the server, and Incus with all that it needs for them; `vmctl doctor --home NAME` says what is missing.',
  },
  notFound: {
    code: 'vmctl::incus::not_found',
    exit: notFound,
    help: 'Check the name; `vmctl doctor --home NAME` shows what the server has.',
  },
  nameTaken: {code: 'vmctl::incus::name_taken', exit: state, help: 'Choose another name, or remove what has it on the server.'},
  changedMeanwhile: {
    code: 'vmctl::incus::changed_meanwhile',
    exit: state,
    help: 'Somebody else changes the same thing; run the command again.',
  },
  quotaExceeded: {
    code: 'vmctl::incus::quota_exceeded',
    exit: state,
    help: 'Ask for less, remove VMs of the project, or have its limits raised: `incus project set PROJECT limits.…`.',
  },
  poolFull: {
    code: 'vmctl::incus::pool_full',
    exit: host,
    help: 'Free room in the storage pool, or choose another pool; `vmctl doctor --home NAME` shows them.',
  },
  refused: {code: 'vmctl::incus::refused', exit: host, help: 'Read the message of the server above; nothing was changed by it.'},
  failed: {
    code: 'vmctl::incus::failed',
    exit: host,
    help: 'Read the message of the server above; `incus warning list` there may know more.',
  },
  timedOut: {code: 'vmctl::incus::timed_out', exit: timeout, help: 'It goes on there: run the command again to see what came of it.'},
  outcomeUnknown: {
    code: 'vmctl::incus::outcome_unknown',
    exit: host,
    help: 'Run the command again: it looks at what is there before it does anything.',
  },
  connectionLost: {code: 'vmctl::incus::connection_lost', exit: host, help: 'Check the network, then run the command again.'},
} as const satisfies Readonly<Record<string, Failure>>
