/**
 * What shells are told, each in its own language. All of them ask `vmctl complete` at each press of Tab: it prints a candidate a line,
 * with what it is behind a tab, and `:files` where paths may stand.
 */
export const completionScripts = {
  // Bash cuts words at `:` and `=`: the line is split here instead, and what stands before such a character is not inserted again.
  bash: `_vmctl() {
  local line words current cut candidate
  line=\${COMP_LINE:0:COMP_POINT}
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[\${#words[@]}-1]}
  cut=\${current%"\${current##*[:=]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r candidate _; do
    if [[ $candidate == :files ]]; then
      # As a file name a word would get its colon quoted.
      ((\${#COMPREPLY[@]})) || compopt -o filenames 2>/dev/null
      mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "\${current##*[:=]}")
    else
      COMPREPLY+=("\${candidate#"$cut"}")
    fi
  done < <(vmctl complete -- "\${words[@]:1}" 2>/dev/null)
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _vmctl vmctl
`,
  zsh: `#compdef vmctl
_vmctl() {
  local line word about files
  local -a candidates
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      files=1
    else
      word=\${line%%$'\\t'*}
      about=\${\${line#$word}#$'\\t'}
      candidates+=("\${word//:/\\:}\${about:+:$about}")
    fi
  done < <(vmctl complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#candidates} )) && _describe vmctl candidates
  [[ -z $files ]] || _files
}
if [[ $funcstack[1] == _vmctl ]]; then _vmctl "$@"; else compdef _vmctl vmctl; fi
`,
  fish: `function __vmctl_complete
    set -l words (commandline -opc) (commandline -ct)
    for candidate in (vmctl complete -- $words[2..] 2>/dev/null)
        if test "$candidate" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $candidate
        end
    end
end
complete -c vmctl -f -a '(__vmctl_complete)'
`,
} as const

export const shells = ['bash', 'zsh', 'fish'] as const satisfies readonly (keyof typeof completionScripts)[]
