{{- define "prometheus-adapter.config" -}}
rules:
  {{- range .Values.podGauges }}
  - seriesQuery: {{ . }}{namespace!="",pod!=""}
    resources:
      overrides:
        namespace: {resource: namespace}
        pod: {resource: pod}
    # The latest sample, as it is: a rate or an average would tell of a step of load when it has passed.
    metricsQuery: sum by (<<.GroupBy>>) (last_over_time(<<.Series>>{<<.LabelMatchers>>}[{{ $.Values.sampleMaxAgeSeconds }}s]))
  {{- end }}
{{- end }}

{{- define "prometheus-adapter.checks" -}}
{{- $known := int .Values.knownForSeconds -}}
{{- $relist := int .Values.relistIntervalSeconds -}}
{{- if lt $known $relist -}}
  {{- fail (printf "knownForSeconds (%d) is less than relistIntervalSeconds (%d)" $known $relist) -}}
{{- end -}}
{{- end }}
