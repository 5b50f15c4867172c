{{/* The full name of the release: of the StatefulSet, and of the service for clients. */}}
{{- define "gnatsd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* The headless service, by which servers find each other. */}}
{{- define "gnatsd.servers" -}}
{{ include "gnatsd.fullname" . }}-servers
{{- end }}

{{- define "gnatsd.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gnatsd.labels" -}}
{{ include "gnatsd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* Settings as the configuration file has them, from a map. */}}
{{- define "gnatsd.settings" -}}
{{- range $name, $value := . }}
{{- $key := ternary $name (toRawJson $name) (regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" $name) }}
{{- if kindIs "map" $value }}
{{ $key }} {
{{- include "gnatsd.settings" $value | trim | nindent 2 }}
}
{{- else if kindIs "slice" $value }}
{{ $key }}: [
{{- range $value }}
{{- if kindIs "map" . }}
  {
    {{- include "gnatsd.settings" . | trim | nindent 4 }}
  }
{{- else }}
  {{ toRawJson . }}
{{- end }}
{{- end }}
]
{{- else if not (kindIs "invalid" $value) }}
{{ $key }}: {{ include "gnatsd.value" (list $key $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses keys of config that the chart sets itself, or that belong in a Secret. */}}
{{- define "gnatsd.checkConfig" -}}
{{- range $key, $value := .Values.config }}
{{- $name := lower $key }}
{{- if not (regexMatch "^[a-z_][a-z0-9_]*$" $name) }}
{{- fail (printf "config.%s: not a key of gnatsd" $key) }}
{{- else if has $name (list "accounts" "authorization" "no_auth_user" "system" "system_account" "users") }}
{{- fail (printf "config.%s: a ConfigMap is public; who may connect belongs in auth" $key) }}
{{- else if has $name (list "addr" "also_listen" "cluster" "cluster_name" "host" "http" "http_base_path" "http_host" "http_password" "http_port" "http_socket" "http_user" "http_verify" "https" "https_port" "include" "lame_duck_duration" "listen" "monitor_port" "net" "port" "routes" "server_name" "tls") }}
{{- fail (printf "config.%s: the chart sets it, by a value of its own" $key) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The value of a key. Texts are quoted, so that ${NAME} is a variable; sizes, such as 2MB, are not. */}}
{{- define "gnatsd.value" -}}
{{- $key := index . 0 }}{{ $value := index . 1 }}
{{- $named := regexMatch "(?i)user|name|pass|token|nkey" $key }}
{{- if and (kindIs "string" $value) (not $named) (regexMatch "(?i)^[0-9]+[kmgt]b?$" (toString $value)) }}{{ $value }}{{ else }}{{ toRawJson $value }}{{ end }}
{{- end }}

{{/* The Secret with auth.conf, "" if there is none. */}}
{{- define "gnatsd.authSecret" -}}
{{- if and .Values.auth.secretName .Values.auth.settings -}}
{{- fail "auth.settings and auth.secretName: give one of them" -}}
{{- end -}}
{{- if .Values.auth.settings }}{{ include "gnatsd.fullname" . }}-auth{{ else }}{{ .Values.auth.secretName }}{{ end -}}
{{- end }}

{{/* Nine tenths of a quantity of memory, as GOMEMLIMIT has it; "" if there is no limit. */}}
{{- define "gnatsd.memoryLimit" -}}
{{- if . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $text := toString . -}}
{{- if kindIs "float64" . }}{{ $text = int64 . | toString }}{{ end -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $number := trimSuffix $unit $text -}}
{{- if not (and (hasKey $units $unit) (regexMatch "^[0-9]+([.][0-9]+)?$" $number)) -}}
{{- fail (printf "resources.limits.memory: want a number with k, M, G, T, Ki, Mi, Gi or Ti, have %q" $text) -}}
{{- end -}}
{{- mulf (float64 $number) (get $units $unit) 0.9 | int64 -}}
{{- end -}}
{{- end }}
