{{- define "drift.name" -}}
{{ .Chart.Name }}
{{- end }}

{{- define "drift.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "drift.selectorLabels" -}}
app.kubernetes.io/name: {{ include "drift.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "drift.labels" -}}
{{ include "drift.selectorLabels" . }}
app.kubernetes.io/part-of: kindling
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "drift.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "drift.registryPort" -}}
{{- $url := urlParse .Values.registry.uri -}}
{{- if regexMatch ":[0-9]+$" $url.host -}}
{{ regexFind "[0-9]+$" $url.host }}
{{- else -}}
{{ ternary 443 80 (eq $url.scheme "https") }}
{{- end -}}
{{- end }}
