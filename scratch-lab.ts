import {startSshd} from './test/support/sshd.ts'
import {makeDisk} from './test/support/vmctl-process.ts'
import {mkdirSync, writeFileSync} from 'node:fs'
const d='/tmp/ll'
mkdirSync(d+'/state',{recursive:true,mode:0o700})
const sshd=await startSshd({config:['MaxStartups 200:30:300']})
makeDisk(d+'/base.qcow2','16M')
const login=`  ssh { user ${JSON.stringify(sshd.user)}; private-key ${JSON.stringify(sshd.keyPath)}; }\n`
const vm=(n:string,b='')=>`vm ${JSON.stringify(n)} {\n  image "base.qcow2"\n${login}${b}\n}\n`
const sh=(s:string)=>`  provision "shell" {\n inline ${JSON.stringify(s)}\n }\n`
writeFileSync(d+'/stack.kdl', vm('db',sh('for i in 1 2 3 4 5 6; do echo installing part $i; sleep 0.5; done')+sh('sleep 1; echo second')+'  healthcheck { test "test -e /tmp/ll/ok || { touch /tmp/ll/ok; echo not yet; exit 1; }"; interval "2s"; }\n')
 +vm('cache',sh('sleep 2; echo 日本語のサービス; sleep 4'))+vm('web','  depends-on "db" condition="healthy"\n'+sh('sleep 2; echo web step'))+vm('mail',sh('sleep 3; echo going to fail >&2; exit 3')))
writeFileSync(d+'/many.kdl', Array.from({length:30},(_,i)=>vm('node'+i,sh(`sleep ${1+i%4}`))).join(''))
writeFileSync(d+'/env',`export VMCTL_NOOP_SSH=127.0.0.1:${sshd.port} VMCTL_BACKEND=noop VMCTL_STATE_DIR=${d}/state\nunset CI NO_COLOR\n`)
setInterval(()=>{},1e6)
