{{- define "serving.name" -}}
{{ .Chart.Name }}
{{- end }}

{{- define "serving.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "serving.selectorLabels" -}}
app.kubernetes.io/name: {{ include "serving.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "serving.labels" -}}
{{ include "serving.selectorLabels" . }}
app.kubernetes.io/part-of: kindling
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "serving.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "serving.replicas" -}}
{{- /* What the autoscaler has decided is left alone: helm would otherwise set replicaCount again. */ -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "serving.fullname" .) -}}
{{- if and .Values.autoscaling.enabled $live -}}
{{- /* Within its bounds: an autoscaler leaves alone what somebody has scaled to none. */ -}}
{{ min (max $live.spec.replicas .Values.autoscaling.minReplicas) .Values.autoscaling.maxReplicas }}
{{- else -}}
{{ .Values.replicaCount }}
{{- end -}}
{{- end }}

{{- define "serving.mostReplicas" -}}
{{ ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled }}
{{- end }}

{{- define "serving.portOf" -}}
{{- $url := urlParse . -}}
{{- if regexMatch ":[0-9]+$" $url.host -}}
{{ regexFind "[0-9]+$" $url.host }}
{{- else -}}
{{ ternary 443 80 (eq $url.scheme "https") }}
{{- end -}}
{{- end }}

{{- define "serving.tracesEndpoint" -}}
{{ .Values.tracing.endpoint | default (printf "%s/v1/traces" (trimSuffix "/" .Values.registry.uri)) }}
{{- end }}

{{- define "serving.upstream" -}}
{{- /* Not empty if there is one. */ -}}
{{ .Values.upstream.url | default .Values.upstream.urlKey }}
{{- end }}
