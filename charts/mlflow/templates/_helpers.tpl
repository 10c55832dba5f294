{{- define "mlflow.name" -}}
{{ .Chart.Name }}
{{- end }}

{{- define "mlflow.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "mlflow.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mlflow.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mlflow.labels" -}}
{{ include "mlflow.selectorLabels" . }}
app.kubernetes.io/part-of: kindling
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "mlflow.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "mlflow.allowedHosts" -}}
{{- $name := include "mlflow.fullname" . -}}
{{- $own := printf "%s.%s" $name .Release.Namespace -}}
{{- $hosts := list -}}
{{- range list "localhost" "127.0.0.1" $name $own (printf "%s.svc" $own) (printf "%s.svc.cluster.local" $own) -}}
  {{- $hosts = concat $hosts (list . (printf "%s:*" .)) -}}
{{- end -}}
{{ concat $hosts .Values.allowedHosts | join "," }}
{{- end }}
