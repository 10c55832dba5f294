{{- define "postgresql.name" -}}
{{ .Chart.Name }}
{{- end }}

{{- define "postgresql.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "postgresql.selectorLabels" -}}
app.kubernetes.io/name: {{ include "postgresql.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "postgresql.labels" -}}
{{ include "postgresql.selectorLabels" . }}
app.kubernetes.io/part-of: kindling
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "postgresql.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "postgresql.env" -}}
- name: POSTGRES_DB
  value: {{ .Values.auth.database }}
# The superuser: the network reaches it by its password only, which no client is given.
- name: POSTGRES_USER
  value: postgres
- name: POSTGRES_PASSWORD_FILE
  value: /run/secrets/postgresql/superuser
- name: DATABASE_OWNER
  value: {{ .Values.auth.username }}
# Below the volume's root, which may hold a lost+found.
- name: PGDATA
  value: /var/lib/postgresql/data/pgdata
{{- end }}

{{- define "postgresql.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "postgresql.volumeMounts" -}}
- name: data
  mountPath: /var/lib/postgresql/data
- name: password
  mountPath: /run/secrets/postgresql
  readOnly: true
- name: run
  mountPath: /var/run/postgresql
- name: tmp
  mountPath: /tmp
{{- end }}
