{{- define "gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "gateway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "gateway.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "gateway.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: {{ include "gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "gateway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "gateway.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "gateway.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "gateway.keySecret" -}}
{{ .Values.apiKeys.existingSecret | default (printf "%s-keys" (include "gateway.fullname" .)) }}
{{- end -}}

{{/* Nobody, nothing to gain, nothing to write to. */}}
{{- define "gateway.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "gateway.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What every container of the gateway knows: keys, stores, and what extraEnv adds. */}}
{{- define "gateway.env" -}}
- name: GATEWAY_API_KEYS
  valueFrom:
    secretKeyRef:
      name: {{ include "gateway.keySecret" . }}
      key: {{ .Values.apiKeys.secretKey }}
{{- if eq .Values.redis.mode "internal" }}
- name: GATEWAY_REDIS_URL
  value: redis://{{ include "gateway.fullname" . }}-redis:6379/0
{{- else if eq .Values.redis.mode "external" }}
- name: GATEWAY_REDIS_URL
  {{- if .Values.redis.external.existingSecret }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.external.existingSecret }}
      key: {{ .Values.redis.external.secretKey }}
  {{- else }}
  value: {{ required "redis.external.url or redis.external.existingSecret is needed with redis.mode=external" .Values.redis.external.url | quote }}
  {{- end }}
{{- end }}
{{- if .Values.database.existingSecret }}
- name: GATEWAY_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.existingSecret }}
      key: {{ .Values.database.secretKey }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Wrong together, though each value alone is right. */}}
{{- define "gateway.check" -}}
{{- $several := or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) -}}
{{- if and $several (eq .Values.redis.mode "none") -}}
{{- fail "More than one replica needs Redis: set redis.mode to internal or external, or replicaCount to 1 with autoscaling off." -}}
{{- end -}}
{{- range $name := list "GATEWAY_API_KEYS" "GATEWAY_REDIS_URL" "GATEWAY_DATABASE_URL" "GATEWAY_NODE_HOST" "GATEWAY_NODE_NAME" -}}
{{- if hasKey $.Values.settings $name -}}
{{- fail (printf "settings.%s: the chart sets it, from a Secret or from the pod; see values.yaml." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
