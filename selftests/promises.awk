# SPDX-License-Identifier: MIT
# What the ABI header promises about errors, as C macros for errnos.c:
#   TABLE(EXXX)                      the errno table at the top
#   REASON(EXO_REASON_X, n, EXXX)    a reason and an errno it comes with
#   COMMAND(EXO_X, EXXX)             an error in the text of a command

# Calls emit(prefix, errno) for each errno in a text, each once.
function errnos(text, prefix,    words, n, i, word, seen) {
	gsub(/EXO_[A-Z0-9_]*/, "", text)
	n = split(text, words, /[^A-Z0-9]+/)
	for (i = 1; i <= n; i++) {
		word = words[i]
		if (word !~ /^E[A-Z0-9][A-Z0-9]+$/ || word in seen)
			continue
		seen[word] = 1
		print prefix word ")"
	}
}

# The table: " *  ENOTTY      no such command"
/^ \*  E[A-Z0-9]+ / { print "TABLE(" $2 ")" }

# The reasons: a name, its number, a comment; on one line or two.
match($0, /EXO_REASON_[A-Z_0-9]+ *=/) {
	name = substr($0, RSTART, RLENGTH)
	sub(/ *=/, "", name)
}
name != "" && match($0, /[0-9]+,/) {
	number = substr($0, RSTART, RLENGTH - 1)
	if (match($0, /\/\*.*/))
		errnos(substr($0, RSTART), "REASON(" name ", " number ", ")
	name = ""
}

# The commands: " * struct exo_x - ioctl(EXO_X)…", then "Errors: …" to the end of the comment.
match($0, /^ \* struct exo_[a-z_]+ - ioctl\(EXO_[A-Z_]+\)/) {
	command = $0
	sub(/.*ioctl\(/, "", command)
	sub(/\).*/, "", command)
	text = ""
	inside = 0
}
/^ \* Errors:/ && command != "" { inside = 1 }
inside && /\*\// {
	errnos(text, "COMMAND(" command ", ")
	command = ""
	inside = 0
}
inside { text = text " " $0 }
