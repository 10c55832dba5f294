{{- /* The pods, as NAMESPACE;NAME, whose own labels are kept. */ -}}
{{- define "prometheus.ownLabels" -}}
{{- $pods := list -}}
{{- range .Values.scrape.honorLabels -}}
{{- $pods = append $pods (printf "%s;%s" .namespace .name) -}}
{{- end -}}
{{ join "|" $pods }}
{{- end }}

{{- define "prometheus.config" -}}
global:
  scrape_interval: {{ .Values.scrape.interval }}
  evaluation_interval: {{ .Values.evaluationInterval }}
  {{- with .Values.externalLabels }}
  external_labels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
storage:
  exemplars:
    max_exemplars: 50000
rule_files: [/etc/prometheus/rules/*.yml]
alerting:
  alertmanagers:
    - static_configs:
        - targets: ["{{ include "prometheus.fullname" . }}-alertmanager:{{ .Values.alertmanager.service.port }}"]
scrape_configs:
  {{- range $job, $keeps := dict "pods" false "pods-own-labels" true }}
  - job_name: {{ $job }}
    {{- if $keeps }}
    # What describes other pods says itself which.
    honor_labels: true
    {{- end }}
    kubernetes_sd_configs:
      - role: pod
        {{- with $.Values.scrape.namespaces }}
        namespaces:
          names: {{ toJson . }}
        {{- end }}
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        regex: "true"
        action: keep
      # Not by annotation: any pod could then speak in the name of others.
      - source_labels: [__meta_kubernetes_namespace, __meta_kubernetes_pod_label_app_kubernetes_io_name]
        regex: {{ include "prometheus.ownLabels" $ | quote }}
        action: {{ ternary "keep" "drop" $keeps }}
      - source_labels: [__meta_kubernetes_pod_phase]
        regex: Pending|Succeeded|Failed|Unknown
        action: drop
      - source_labels: [__meta_kubernetes_pod_container_init]
        regex: "true"
        action: drop
      # A pod may ask to be scraped more or less often; a scrape may not take longer than that.
      - source_labels: [__meta_kubernetes_pod_annotation_kindling_dev_scrape_interval]
        regex: ([1-9][0-9]*s)
        target_label: __scrape_interval__
      - source_labels: [__meta_kubernetes_pod_annotation_kindling_dev_scrape_interval]
        regex: ([1-9]s)
        target_label: __scrape_timeout__
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path]
        regex: (.+)
        target_label: __metrics_path__
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme]
        regex: (https?)
        target_label: __scheme__
      - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
        regex: ([0-9.]+);([0-9]+)
        replacement: $1:$2
        target_label: __address__
      - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
        regex: (.*:.*);([0-9]+)
        replacement: "[$1]:$2"
        target_label: __address__
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name]
        target_label: job
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_component]
        regex: (.+)
        target_label: job
      {{- if not $keeps }}
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
      - source_labels: [__meta_kubernetes_pod_node_name]
        target_label: node
      {{- end }}
  {{- end }}
  {{- range $job, $path := dict "kubelet" "/metrics" "cadvisor" "/metrics/cadvisor" }}
  - job_name: {{ $job }}
    scrape_interval: {{ $.Values.scrape.clusterInterval }}
    scheme: https
    metrics_path: {{ $path }}
    authorization:
      credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token
    tls_config:
      ca_file: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
      {{- if $.Values.scrape.kubeletInsecureTLS }}
      insecure_skip_verify: true
      {{- end }}
    kubernetes_sd_configs:
      - role: node
    relabel_configs:
      - source_labels: [__meta_kubernetes_node_name]
        target_label: node
    metric_relabel_configs:
      # Histograms of the kubelet's own work and series of whole slices: most of the answer, and nobody's question.
      - source_labels: [__name__]
        regex: {{ ternary "kubernetes_feature_enabled|.+_bucket" "container_(tasks_state|health_state|memory_failures_total|blkio_.+|.+_pressure_.+)" (eq $job "kubelet") }}
        action: drop
      {{- if eq $job "cadvisor" }}
      - source_labels: [container, __name__]
        regex: ;container_(cpu|memory|fs|threads|processes|sockets|file|spec|start|last|ulimits|oom).*
        action: drop
      {{- end }}
  {{- end }}
  - job_name: apiserver
    scrape_interval: {{ .Values.scrape.clusterInterval }}
    scheme: https
    authorization:
      credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token
    tls_config:
      ca_file: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    kubernetes_sd_configs:
      - role: endpointslice
        namespaces:
          names: [default]
    relabel_configs:
      - source_labels: [__meta_kubernetes_service_name, __meta_kubernetes_endpointslice_port_name]
        regex: kubernetes;https
        action: keep
    metric_relabel_configs:
      # It has tens of thousands of series; these answer whether it is well.
      - source_labels: [__name__]
        regex: "apiserver_(request_total|request_duration_seconds_(sum|count)|current_inflight_requests|client_certificate_expiration_seconds_.*|storage_objects)|process_.+|etcd_.*size.*"
        action: keep
  - job_name: metrics-server
    scrape_interval: {{ .Values.scrape.clusterInterval }}
    scheme: https
    # Not by annotation: any pod could then ask for the token.
    authorization:
      credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token
    # It makes its own certificate at each start: there is no authority to check it against.
    tls_config:
      insecure_skip_verify: true
    kubernetes_sd_configs:
      - role: pod
        namespaces:
          names: [kube-system]
    relabel_configs:
      - source_labels:
          - __meta_kubernetes_pod_label_app_kubernetes_io_name
          - __meta_kubernetes_pod_container_port_name
        regex: metrics-server;https
        action: keep
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
      - source_labels: [__meta_kubernetes_pod_node_name]
        target_label: node
    metric_relabel_configs:
      # The rest is what every API server exports of its own work.
      - source_labels: [__name__]
        regex: metrics_server_.+|process_.+
        action: keep
{{- end }}

{{- define "prometheus.alertmanagerConfig" -}}
route:
  receiver: everyone
  group_by: [alertname, namespace, model]
  group_wait: {{ .Values.alertmanager.groupWait }}
  group_interval: {{ .Values.alertmanager.groupInterval }}
  repeat_interval: {{ .Values.alertmanager.repeatInterval }}
inhibit_rules:
  # Whoever was woken need not be told again that it is less bad, too.
  - source_matchers: [severity="critical"]
    target_matchers: [severity="warning"]
    equal: [alertname, namespace, model, job]
  # What is almost full was filling up.
  - source_matchers: [alertname="NodeDiskAlmostFull"]
    target_matchers: [alertname="NodeDiskFillingUp"]
    equal: [node, device]
  - source_matchers: [alertname="VolumeAlmostFull"]
    target_matchers: [alertname="VolumeFillingUp"]
    equal: [node, namespace, persistentvolumeclaim]
  # A job that is needed always is told of once, not by namespace too.
  - source_matchers: [alertname="ScrapeJobAbsent", severity="critical"]
    target_matchers: [alertname="ScrapeJobAbsent", severity="warning"]
    equal: [job]
  # Nor of what follows from it.
  - source_matchers: [alertname="PostgresqlDown"]
    target_matchers: ['alertname=~"MlflowDown|MlflowFailing|ModelRegistryUnreachable|StatefulSetReplicasUnavailable"']
    equal: [namespace]
  - source_matchers: [alertname="MlflowDown"]
    target_matchers: ['alertname="ModelRegistryUnreachable"']
    equal: [namespace]
  - source_matchers: ['alertname=~"ServiceUnavailable|MlflowDown"']
    target_matchers: ['alertname="DeploymentReplicasUnavailable"']
    equal: [namespace, deployment]
receivers:
  - name: everyone
    webhook_configs:
      {{- if .Values.receiver.enabled }}
      - url: http://{{ include "prometheus.fullname" . }}-alert-receiver:8080/alerts
      {{- end }}
      {{- range .Values.alertmanager.webhookUrls }}
      - url: {{ . | quote }}
      {{- end }}
{{- end }}

{{- define "prometheus.rules" -}}
{{- $prefix := .Values.rules.runbookUrlPrefix -}}
{{- if and (not $prefix) .Values.externalUrl .Values.rules.runbooks -}}
{{- $prefix = printf "%s/user/" (trimSuffix "/" .Values.externalUrl) -}}
{{- end -}}
{{- range $path, $content := .Files.Glob "rules/*.yml" }}
{{- $name := base $path }}
{{ $name }}: |
  {{- get $.Values.rules.overrides $name | default (toString $content) | replace "runbook_url: " (printf "runbook_url: %s" $prefix) | replace "kindling.*|kube-.*" $.Values.rules.namespaces | nindent 2 }}
{{- end }}
{{- end }}
