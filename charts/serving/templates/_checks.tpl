{{- define "serving.checks" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if $scaling.enabled -}}
  {{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
    {{- fail (printf "autoscaling.minReplicas (%v) is above autoscaling.maxReplicas (%v)" $scaling.minReplicas $scaling.maxReplicas) -}}
  {{- end -}}
  {{- if or (lt (int .Values.replicaCount) (int $scaling.minReplicas)) (gt (int .Values.replicaCount) (int $scaling.maxReplicas)) -}}
    {{- fail (printf "replicaCount (%v) is outside autoscaling's %v to %v" .Values.replicaCount $scaling.minReplicas $scaling.maxReplicas) -}}
  {{- end -}}
{{- else -}}
  {{- /* A template cannot see which values were set, only which are not values.yaml's. */ -}}
  {{- $up := dict "stabilizationWindowSeconds" 0 "policies" (list (dict "type" "Percent" "value" 100 "periodSeconds" 15) (dict "type" "Pods" "value" 4 "periodSeconds" 15)) "selectPolicy" "Max" -}}
  {{- $down := dict "stabilizationWindowSeconds" 300 "policies" (list (dict "type" "Percent" "value" 50 "periodSeconds" 60)) "selectPolicy" "Max" -}}
  {{- $defaults := dict "minReplicas" 2 "maxReplicas" 10 "targetCPUUtilizationPercentage" 70 "targetInFlightRequests" 8 "behavior" (dict "scaleUp" $up "scaleDown" $down) "extraMetrics" list -}}
  {{- range $name, $default := $defaults -}}
    {{- if ne (toJson $default) (toJson (index $scaling $name)) -}}
      {{- fail (printf "autoscaling.%s has no effect while autoscaling.enabled is false" $name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (le (include "serving.mostReplicas" . | int) 1) (ne (toString .Values.podDisruptionBudget.maxUnavailable) "1") -}}
  {{- fail "podDisruptionBudget.maxUnavailable has no effect where there can only be one pod" -}}
{{- end -}}
{{- if and (eq .Values.service.type "ClusterIP") .Values.service.nodePort -}}
  {{- fail "service.nodePort has no effect with service.type ClusterIP" -}}
{{- end -}}
{{- if and (ne .Values.service.type "LoadBalancer") .Values.service.loadBalancerSourceRanges -}}
  {{- fail (printf "service.loadBalancerSourceRanges has no effect with service.type %s" .Values.service.type) -}}
{{- end -}}
{{- if and (not .Values.networkPolicy.enabled) (or .Values.networkPolicy.ingressFrom .Values.networkPolicy.metricsFrom .Values.networkPolicy.extraEgress) -}}
  {{- fail "networkPolicy.ingressFrom, networkPolicy.metricsFrom and networkPolicy.extraEgress have no effect while networkPolicy.enabled is false" -}}
{{- end -}}
{{- $tracing := .Values.tracing -}}
{{- if not $tracing.enabled -}}
  {{- range $name, $default := dict "endpoint" "" "sampleRatio" 0.05 "experiment" "traces" -}}
    {{- if ne (toJson $default) (toJson (index $tracing $name)) -}}
      {{- fail (printf "tracing.%s has no effect while tracing.enabled is false" $name) -}}
    {{- end -}}
  {{- end -}}
{{- else if and (ne $tracing.experiment "traces") (not (hasPrefix (printf "%s/" (trimSuffix "/" .Values.registry.uri)) (include "serving.tracesEndpoint" .))) -}}
  {{- fail "tracing.experiment has no effect with a tracing.endpoint that is not the registry's" -}}
{{- end -}}
{{- if and (not .Values.feedback.secretName) (ne .Values.feedback.key "feedback-key") -}}
  {{- fail "feedback.key has no effect without feedback.secretName" -}}
{{- end -}}
{{- if and (not .Values.feedback.secretName) .Values.feedback.tokenKey -}}
  {{- fail "feedback.tokenKey has no effect without feedback.secretName" -}}
{{- end -}}
{{- include "serving.upstreamChecks" . -}}
{{- range $name, $_ := .Values.env -}}
  {{- if hasKey $.Values.secretEnv $name -}}
    {{- fail (printf "%s is in env and in secretEnv" $name) -}}
  {{- end -}}
{{- end -}}
{{- range $name := list "MODELS" "REGISTRY_URI" "REGISTRY_USERNAME" "REGISTRY_PASSWORD" "MODEL_ALIAS" "POLL_SECONDS" "OTLP_ENDPOINT" "TRACE_SAMPLE_RATIO" "TRACE_EXPERIMENT" "FEEDBACK_KEY" "FEEDBACK_TOKEN" "UPSTREAM_URL" "UPSTREAM_KEY" "UPSTREAM_NAME" "UPSTREAM_MODEL" -}}
  {{- $variable := printf "KINDLING_SERVICE_%s" $name -}}
  {{- if or (hasKey $.Values.env $variable) (hasKey $.Values.secretEnv $variable) -}}
    {{- fail (printf "%s may not be set: models, registry, tracing, feedback and upstream do" $variable) -}}
  {{- end -}}
{{- end -}}
{{- range $name := list "KINDLING_SERVICE_LISTEN_HOST" "KINDLING_SERVICE_LISTEN_PORT" "KINDLING_SERVICE_METRICS_PORT" -}}
  {{- if or (hasKey $.Values.env $name) (hasKey $.Values.secretEnv $name) -}}
    {{- fail (printf "%s may not be set: the Services and the probes ask ports 8000 and 8001 of the pod" $name) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.podAnnotations -}}
  {{- if or (hasPrefix "prometheus.io/" $name) (eq "kindling.dev/scrape-interval" $name) -}}
    {{- fail (printf "podAnnotations may not set %s: the chart does" $name) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "serving.upstreamChecks" -}}
{{- $upstream := .Values.upstream -}}
{{- if include "serving.upstream" . -}}
  {{- /* Not by the schema, whose refusals repeat the value. */ -}}
  {{- if not (regexMatch "^(https?://[^/\\s?#@]+(/[^\\s?#@]*)?)?$" $upstream.url) -}}
    {{- fail "upstream.url must be http(s)://HOST[:PORT][/PATH], without user and password" -}}
  {{- end -}}
  {{- if and $upstream.url $upstream.urlKey -}}
    {{- fail "upstream.url has no effect with upstream.urlKey" -}}
  {{- end -}}
  {{- if and (not $upstream.urlKey) (not $upstream.secretKey) (ne $upstream.secretName "upstream") -}}
    {{- fail "upstream.secretName has no effect without upstream.urlKey and upstream.secretKey" -}}
  {{- end -}}
  {{- if has $upstream.name .Values.models -}}
    {{- fail (printf "upstream.name (%s) is one of models: take it out of them, or name another" $upstream.name) -}}
  {{- end -}}
  {{- if and $upstream.egress (not .Values.networkPolicy.enabled) -}}
    {{- fail "upstream.egress has no effect while networkPolicy.enabled is false" -}}
  {{- end -}}
  {{- if and .Values.networkPolicy.enabled (not $upstream.egress) (not .Values.networkPolicy.extraEgress) -}}
    {{- fail "upstream.egress must say where pods may go for the upstream: a list of {cidr: …, port: …}" -}}
  {{- end -}}
{{- else -}}
  {{- range $name, $default := dict "name" "upstream" "model" "" "secretName" "upstream" "secretKey" "key" "egress" list -}}
    {{- if ne (toJson $default) (toJson (index $upstream $name)) -}}
      {{- fail (printf "upstream.%s has no effect without upstream.url or upstream.urlKey" $name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}
