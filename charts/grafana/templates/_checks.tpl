{{- define "grafana.checks" -}}
{{- if and .Values.storage.className (not .Values.storage.size) }}
  {{- fail "storage.className has no effect while storage.size is empty" }}
{{- end }}
{{- end }}
