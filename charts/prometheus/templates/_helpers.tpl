{{- define "prometheus.name" -}}
{{ .Chart.Name }}
{{- end }}

{{- define "prometheus.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "prometheus.selectorLabels" -}}
app.kubernetes.io/name: {{ include "prometheus.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "prometheus.labels" -}}
{{ include "prometheus.selectorLabels" . }}
app.kubernetes.io/part-of: kindling
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "prometheus.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65534
runAsGroup: 65534
fsGroup: 65534
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "prometheus.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "prometheus.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* A claim of the component and storage in the list. */ -}}
{{- define "prometheus.claim" -}}
{{- $root := index . 0 -}}{{- $component := index . 1 -}}{{- $storage := index . 2 -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
    labels:
      {{- include "prometheus.selectorLabels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ $component }}
      app.kubernetes.io/part-of: kindling
    {{- with $storage.annotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with $storage.className }}
    storageClassName: {{ . | quote }}
    {{- end }}
    resources:
      requests:
        storage: {{ $storage.size | quote }}
{{- end }}

{{- define "prometheus.checks" -}}
{{- range $at, $service := dict "service" .Values.service "alertmanager.service" .Values.alertmanager.service }}
  {{- if and (eq $service.type "ClusterIP") $service.nodePort }}
    {{- fail (printf "%s.nodePort has no effect with %s.type ClusterIP" $at $at) }}
  {{- end }}
{{- end }}
{{- if and (not .Values.networkPolicy.enabled) .Values.networkPolicy.ingressFrom }}
  {{- fail "networkPolicy.ingressFrom has no effect while networkPolicy.enabled is false" }}
{{- end }}
{{- $alertmanager := .Values.alertmanager }}
{{- if and $alertmanager.configSecret $alertmanager.webhookUrls }}
  {{- fail "alertmanager.webhookUrls has no effect with a configuration of your own in alertmanager.configSecret" }}
{{- end }}
{{- if not (or .Values.receiver.enabled $alertmanager.webhookUrls $alertmanager.configSecret) }}
  {{- fail "nobody would be notified: enable receiver, or set alertmanager.webhookUrls or alertmanager.configSecret" }}
{{- end }}
{{- range $name, $_ := .Values.rules.overrides }}
  {{- if not ($.Files.Get (printf "rules/%s" $name)) }}
    {{- fail (printf "rules.overrides.%s takes the place of no file in rules/" $name) }}
  {{- end }}
{{- end }}
{{- end }}
