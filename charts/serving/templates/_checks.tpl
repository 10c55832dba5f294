{{- define "serving.checks" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if $scaling.enabled -}}
  {{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
    {{- fail (printf "autoscaling.minReplicas (%v) is above autoscaling.maxReplicas (%v)" $scaling.minReplicas $scaling.maxReplicas) -}}
  {{- end -}}
  {{- if or (lt (int .Values.replicaCount) (int $scaling.minReplicas)) (gt (int .Values.replicaCount) (int $scaling.maxReplicas)) -}}
    {{- fail (printf "replicaCount (%v) is outside autoscaling's %v to %v" .Values.replicaCount $scaling.minReplicas $scaling.maxReplicas) -}}
  {{- end -}}
{{- else if or $scaling.behavior $scaling.extraMetrics -}}
  {{- fail "autoscaling.behavior and autoscaling.extraMetrics have no effect while autoscaling.enabled is false" -}}
{{- end -}}
{{- if and (eq .Values.service.type "ClusterIP") .Values.service.nodePort -}}
  {{- fail "service.nodePort has no effect with service.type ClusterIP" -}}
{{- end -}}
{{- if and (ne .Values.service.type "LoadBalancer") .Values.service.loadBalancerSourceRanges -}}
  {{- fail (printf "service.loadBalancerSourceRanges has no effect with service.type %s" .Values.service.type) -}}
{{- end -}}
{{- if and (not .Values.networkPolicy.enabled) (or .Values.networkPolicy.ingressFrom .Values.networkPolicy.extraEgress) -}}
  {{- fail "networkPolicy.ingressFrom and networkPolicy.extraEgress have no effect while networkPolicy.enabled is false" -}}
{{- end -}}
{{- range $name, $_ := .Values.env -}}
  {{- if hasKey $.Values.secretEnv $name -}}
    {{- fail (printf "%s is in env and in secretEnv" $name) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.podAnnotations -}}
  {{- if hasPrefix "prometheus.io/" $name -}}
    {{- fail (printf "podAnnotations may not set %s: the chart does" $name) -}}
  {{- end -}}
{{- end -}}
{{- end }}
