package conf

// This file writes the completion of a command line for the shells.

import (
	"fmt"
	"slices"
	"strings"
)

// shells are those that [Table.Completion] knows.
var shells = []string{"bash", "zsh", "fish"}

// Completion returns the completion of a program in a shell. values are the values of flags, by the
// last of their names.
func (tb *Table[T]) Completion(shell, program string, values map[string][]string) (string, error) {
	var flags []completedFlag
	for _, r := range tb.rows {
		for _, f := range r.Flags {
			if f.Group == "" {
				continue
			}
			name := f.Names[len(f.Names)-1]
			usage, _, _ := strings.Cut(f.Usage, "\n")
			flags = append(flags, completedFlag{names: f.Names, usage: strings.TrimRight(usage, ",:"), arg: f.Arg, values: values[name]})
		}
	}
	switch shell {
	case "bash":
		return bashCompletion(program, flags), nil
	case "zsh":
		return zshCompletion(program, flags), nil
	case "fish":
		return fishCompletion(program, flags), nil
	}
	return "", fmt.Errorf("no completion for the shell %q: there is one for %s", shorten(shell), strings.Join(shells, ", "))
}

// completedFlag is a flag as a completion has it.
type completedFlag struct {
	names  []string
	usage  string
	arg    string // "" if it needs no value
	values []string
}

func (f completedFlag) dashed() (names []string) {
	for _, n := range f.names {
		names = append(names, Flag{Names: []string{n}}.Name())
	}
	return names
}

// takesFile and takesDir report what a value is.
func (f completedFlag) takesFile() bool {
	return strings.Contains(f.arg, "file") || strings.Contains(f.arg, "running")
}
func (f completedFlag) takesDir() bool { return strings.Contains(f.arg, "dir") }

// optional reports whether the value, if any, follows an equals sign.
func (f completedFlag) optional() bool { return strings.HasPrefix(f.arg, "[=") }

func bashCompletion(program string, flags []completedFlag) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Completion of %s for bash: source it, or put it into /usr/share/bash-completion/completions/%s\n", program, program)
	fmt.Fprintf(&b, "_%s() {\n", program)
	b.WriteString(`	local cur=${COMP_WORDS[COMP_CWORD]} prev= file
	((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD-1]}
	# bash makes a word of the sign in --flag=value.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	COMPREPLY=()
	case $prev in
`)
	var all []string
	for _, f := range flags {
		all = append(all, f.dashed()...)
		if f.arg == "" {
			continue
		}
		action := "return"
		switch {
		case f.values != nil:
			action = "COMPREPLY=($(compgen -W '" + strings.Join(f.values, " ") + "' -- \"$cur\")); return"
		case f.takesFile():
			action = "compopt -o filenames 2>/dev/null; while IFS= read -r file; do COMPREPLY+=(\"$file\"); done < <(compgen -f -- \"$cur\"); return"
		case f.takesDir():
			action = "compopt -o filenames 2>/dev/null; while IFS= read -r file; do COMPREPLY+=(\"$file\"); done < <(compgen -d -- \"$cur\"); return"
		}
		if f.optional() { // what follows it without an equals sign is another word
			action = "if [[ ${COMP_WORDS[COMP_CWORD]} == = || ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then " + action + "; fi"
		}
		fmt.Fprintf(&b, "	%s) %s ;;\n", strings.Join(f.dashed(), "|"), action)
	}
	fmt.Fprintf(&b, "	esac\n	[[ $cur == -* ]] && COMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n	return 0\n}\ncomplete -F _%s %s\n",
		strings.Join(all, " "), program, program)
	return b.String()
}

// zshEscaper escapes what ends a part of an argument of _arguments between single quotes.
var zshEscaper = strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`)

func zshCompletion(program string, flags []completedFlag) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n# Completion of %s for zsh: put it into a directory of $fpath, as _%s.\n\n_arguments", program, program, program)
	for _, f := range flags {
		names := f.dashed()
		about := "[" + zshEscaper.Replace(f.usage) + "]"
		if f.arg != "" {
			action := " "
			switch {
			case f.values != nil:
				action = "(" + strings.Join(f.values, " ") + ")"
			case f.takesFile():
				action = "_files"
			case f.takesDir():
				action = "_files -/"
			}
			about += ":" + zshEscaper.Replace(strings.Trim(f.arg, "[=<>]")) + ":" + action
		}
		b.WriteString(" \\\n  ")
		if len(names) > 1 {
			fmt.Fprintf(&b, "'(%s)'", strings.Join(names, " "))
		}
		suffix := ""
		if f.optional() {
			suffix = "=-"
			about = strings.Replace(about, "]:", "]::", 1)
		}
		for i := range names {
			names[i] += suffix
		}
		if len(names) > 1 {
			fmt.Fprintf(&b, "{%s}", strings.Join(names, ","))
		} else {
			b.WriteString("'" + names[0] + "'")
		}
		b.WriteString("'" + about + "'")
	}
	return b.String() + "\n"
}

var fishEscaper = strings.NewReplacer(`\`, `\\`, "'", `\'`)

func fishCompletion(program string, flags []completedFlag) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Completion of %s for fish: put it into ~/.config/fish/completions/%s.fish\ncomplete -c %s -f\n", program, program, program)
	for _, f := range flags {
		fmt.Fprintf(&b, "complete -c %s", program)
		for _, n := range f.names {
			switch {
			case len(n) == 1:
				b.WriteString(" -s " + n)
			case len(n) == 2 && slices.Index(f.names, n) == 0 && len(f.names) > 1:
				b.WriteString(" -o " + n)
			default:
				b.WriteString(" -l " + n)
			}
		}
		switch {
		case f.arg == "":
		case f.optional():
			b.WriteString(" -F")
		case f.values != nil:
			b.WriteString(" -x -a '" + strings.Join(f.values, " ") + "'")
		case f.takesFile():
			b.WriteString(" -r -F")
		case f.takesDir():
			b.WriteString(" -x -a '(__fish_complete_directories)'")
		default:
			b.WriteString(" -x")
		}
		fmt.Fprintf(&b, " -d '%s'\n", fishEscaper.Replace(f.usage))
	}
	return b.String()
}
