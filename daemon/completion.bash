# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# bash completion for exoctl and exo-run

_exo_functions() {
	local device
	for device in /sys/bus/pci/devices/*; do
		[[ $(<"$device/class") == 0x010802 ]] && echo "${device##*/}"
	done
}

_exoctl() {
	local word=${COMP_WORDS[COMP_CWORD]} choices
	case ${COMP_WORDS[1]} in
	bind) choices="--overwrite" ;;
	status) choices="--json" ;;
	doctor) choices="--json" ;;
	list) choices="--json memory" ;;
	watch) choices="--interval" ;;
	grant) choices="--extent --queues --threads --priority --mem --uid --anyone --lifetime --uses --zones --placement --keep --zero" ;;
	revoke) choices="--node --pid --uid --session --function --frames --deadline" ;;
	esac
	if ((COMP_CWORD == 1)); then
		choices="bind unbind status doctor list watch grant revoke --help --version"
	else
		case ${COMP_WORDS[1]} in
		bind | unbind | status | list) choices+=" $(_exo_functions)" ;;
		esac
	fi
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	--uid) choices=$(compgen -u) ;;
	--function) choices=$(_exo_functions) ;;
	--extent) choices=$(compgen -S /1: -W "$(_exo_functions)") ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
	declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$word"
}

_exo_run() {
	local word=${COMP_WORDS[COMP_CWORD]}
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	--user) mapfile -t COMPREPLY < <(compgen -u -- "$word") ;;
	--extent) mapfile -t COMPREPLY < <(compgen -S /1: -W "$(_exo_functions)" -- "$word") ;;
	--) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
	*) mapfile -t COMPREPLY < <(compgen -W "--extent --mem --queues --threads --priority --direct --zones \
		--placement --user --keep --zero --help --version --" -- "$word") ;;
	esac
}

complete -F _exoctl exoctl
complete -F _exo_run exo-run
