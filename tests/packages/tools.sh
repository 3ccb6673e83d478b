#!/bin/sh
# tools.sh: installs the Python programs that `make test-packages` uses into a virtual environment below the target
# directory, once: ansible-core, yamllint, Helm's own library, and the schemas of Kubernetes. Prints its directory.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
environment=${CARGO_TARGET_DIR:-$here/target}/test-programs/python
mkdir -p "${environment%/*}"
# Two tests that begin together install them once.
exec 9>"$environment.lock"
flock 9
if [ ! -e "$environment/complete" ]; then
	rm -rf "$environment"
	python3 -m venv "$environment"
	"$environment/bin/pip" install --quiet --disable-pip-version-check 'ansible-core>=2.17,<2.20' yamllint \
		'helm-python-sdk==0.2.2' 'kubernetes-validate>=1.33' >&2
	touch "$environment/complete"
fi
echo "$environment/bin"
