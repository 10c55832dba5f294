{{- define "grafana.name" -}}
{{ .Chart.Name }}
{{- end }}

{{- define "grafana.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "grafana.selectorLabels" -}}
app.kubernetes.io/name: {{ include "grafana.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "grafana.labels" -}}
{{ include "grafana.selectorLabels" . }}
app.kubernetes.io/part-of: kindling
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "grafana.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "grafana.settings" -}}
GF_LOG_MODE: console
GF_LOG_CONSOLE_FORMAT: json
GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: /etc/dashboards/model-serving.json
GF_AUTH_ANONYMOUS_ENABLED: "false"
GF_USERS_ALLOW_SIGN_UP: "false"
GF_SECURITY_COOKIE_SAMESITE: strict
# Alerts are Prometheus' and Alertmanager's.
GF_UNIFIED_ALERTING_ENABLED: "false"
# Nothing is fetched from or told to other hosts.
GF_ANALYTICS_REPORTING_ENABLED: "false"
GF_ANALYTICS_CHECK_FOR_UPDATES: "false"
GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES: "false"
GF_ANALYTICS_FEEDBACK_LINKS_ENABLED: "false"
GF_NEWS_NEWS_FEED_ENABLED: "false"
GF_SECURITY_DISABLE_GRAVATAR: "true"
GF_SNAPSHOTS_EXTERNAL_ENABLED: "false"
GF_PLUGINS_PREINSTALL_DISABLED: "true"
GF_PLUGINS_PREINSTALL_AUTO_UPDATE: "false"
GF_PLUGINS_PLUGIN_ADMIN_ENABLED: "false"
GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED: "true"
{{- end }}
