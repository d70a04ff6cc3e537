{{- define "keystile.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, so that every name made of it has at most 63. */}}
{{- define "keystile.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "keystile.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "keystile.selector" -}}
app.kubernetes.io/name: {{ include "keystile.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keystile.labels" -}}
{{ include "keystile.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "keystile.secret" -}}
{{- default (printf "%s-jwt-keys" (include "keystile.fullname" .)) .Values.keyring.secretName -}}
{{- end -}}

{{- define "keystile.witness" -}}
{{- include "keystile.secret" . }}-witness
{{- end -}}

{{- define "keystile.store" -}}
k8s:{{ .Release.Namespace }}/{{ include "keystile.secret" . }}
{{- end -}}

{{- define "keystile.gatewayId" -}}
{{- default (include "keystile.fullname" .) .Values.keyring.gatewayId -}}
{{- end -}}

{{- define "keystile.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "keystile.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{- default (printf "%s-tls" (include "keystile.fullname" .)) .Values.tls.secretName -}}
{{- else -}}
{{- .Values.tls.secretName -}}
{{- end -}}
{{- end -}}

{{/* Values that contradict each other are refused before anything is made. */}}
{{- define "keystile.check" -}}
{{- $tls := include "keystile.tlsSecret" . -}}
{{- if and (not $tls) (not .Values.tls.insecurePlaintext) -}}
{{- fail "the gateways have no certificate. Set tls.secretName to a Secret of type kubernetes.io/tls, or tls.certManager.enabled=true; only where a mesh or a proxy encrypts: tls.insecurePlaintext=true" -}}
{{- end -}}
{{- if and $tls .Values.tls.insecurePlaintext -}}
{{- fail "tls.insecurePlaintext=true and a certificate exclude each other: drop one" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.enabled=true needs tls.certManager.issuerRef.name" -}}
{{- end -}}
{{- if and (eq .Values.tls.clientCertificates "required") (not .Values.tls.clientCa) -}}
{{- fail "tls.clientCertificates=required needs tls.clientCa=true: what else should they be checked against?" -}}
{{- end -}}
{{- if and (eq .Values.tls.clientCertificates "required") (not .Values.admin.enabled) -}}
{{- fail "tls.clientCertificates=required needs admin.enabled=true: the kubelet has no certificate, so it must ask there whether a gateway is ready" -}}
{{- end -}}
{{- if and .Values.bootstrap.clientCertificate (not .Values.tls.clientCa) -}}
{{- fail "bootstrap.clientCertificate=true needs tls.clientCa=true" -}}
{{- end -}}
{{- if and .Values.bootstrap.serviceAccount.enabled (not .Values.bootstrap.serviceAccount.names) -}}
{{- fail "bootstrap.serviceAccount.enabled=true needs bootstrap.serviceAccount.names: which ServiceAccounts do sandboxes run as?" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.admin.enabled) -}}
{{- fail "serviceMonitor.enabled=true needs admin.enabled=true" -}}
{{- end -}}
{{- end -}}

{{/* The pod a process runs in, for its report and for the history. */}}
{{- define "keystile.podEnv" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end -}}

{{- define "keystile.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "keystile.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The pod of a Job. Given: root, component, account, args (a list). */}}
{{- define "keystile.jobPod" -}}
metadata:
  labels:
    {{- include "keystile.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ .account }}
  # A Service of the name keystile would come as KEYSTILE_… variables, which are settings.
  enableServiceLinks: false
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "keystile.podSecurity" .root | nindent 4 }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: keystile
      image: {{ include "keystile.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      # One stream, so that the log has everything in order.
      args:
        {{- toYaml (append .args "--one-stream") | nindent 8 }}
      env:
        - name: KEYSTILE_STORE
          value: {{ include "keystile.store" .root }}
        {{- include "keystile.podEnv" .root | nindent 8 }}
      # What it said last is in the pod's status, so that `kubectl describe` tells why it failed.
      terminationMessagePolicy: FallbackToLogsOnError
      securityContext:
        {{- include "keystile.containerSecurity" .root | nindent 8 }}
      resources:
        {{- toYaml .root.Values.jobResources | nindent 8 }}
{{- end -}}
