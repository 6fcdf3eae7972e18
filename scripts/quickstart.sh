#!/bin/sh
# From a fresh clone to a running, provisioned VM. Run it again at any time: what is done stays done.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH
file=examples/quickstart/VMFile.kdl

step() { printf '\n==> %s\n' "$*" >&2; }

step 'Installing what is missing'
sh scripts/setup.sh run

step 'Building vmctl'
npm run --silent build

step 'Building a small guest image from Debian packages'
image=$(fixtures/guests/build.sh micro)
ln -sfn "$image" examples/quickstart/guest.qcow2

step "vmctl up --file $file"
node bin/run.js up --file "$file"

cat <<END

The VM runs. Go on with:

  npx vmctl ssh hello                    a shell in it; \`exit\` leaves it
  npx vmctl ssh hello -- uname -a        one command
  npx vmctl log hello                    what it and its provisioning said
  npx vmctl down --destroy --file $file
                                         stop it and remove it
END
