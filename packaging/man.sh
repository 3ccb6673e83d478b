#!/bin/bash
# man.sh: makes man/agentcheck.toml.5 from docs/configuration, of which tables become lists. It needs pandoc. `make man` runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
{
	printf '# NAME\n\nagentcheck.toml - configuration of the agentcheck collector\n\n'
	printf '# SYNOPSIS\n\n*/etc/agentcheck/agentcheck.toml*\n\n*/etc/agentcheck/conf.d/NAME.toml*\n\n'
	printf '# DESCRIPTION\n\nWhat the collector polls, and how it decides the replies for HAProxy.\n\n'
	for page in sources services-and-rules expressions files-and-permissions; do
		cat "docs/configuration/$page.md"
	done
	printf '\n# SEE ALSO\n\n**agentcheck**(1), **agentcheck.state**(5), **agentcheck.stream**(5), **agentcheck-responder**(8)\n'
} | pandoc --standalone --from gfm --to man --lua-filter packaging/man.lua \
	--metadata title='agentcheck.toml' --metadata section=5 \
	--metadata header='agentcheck' --metadata date='' --metadata hyphenate=false \
	--variable header-includes='.ad l' --output man/agentcheck.toml.5
