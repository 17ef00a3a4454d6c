{{/* Of every pod of ours: no rights, and Kubernetes' "restricted" profile. */}}
{{- define "fixwurx.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "fixwurx.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Settings, and the store's address. */}}
{{- define "fixwurx.environment" -}}
envFrom:
  - configMapRef: {name: {{ include "fixwurx.name" . }}-settings}
env:
  - name: FIXWURX_REDIS_URL
    valueFrom: {secretKeyRef: {name: {{ include "fixwurx.storeSecret" . }}, key: url}}
{{- end }}

{{/* Ready when it does its work. No liveness probe: a node whose store is away must not be ended for
it, and one that hangs is left by its bugs. */}}
{{- define "fixwurx.readiness" -}}
readinessProbe:
  exec: {command: [python, -P, -m, fixwurx_celery.pulse]}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{- define "fixwurx.nodeSecurity" -}}
{{- if .Values.nodes.sandbox -}}
{{- $own := dict "procMount" "Unmasked" "seccompProfile" .Values.nodes.seccompProfile -}}
{{ merge $own (include "fixwurx.containerSecurity" . | fromYaml) | toYaml }}
{{- else -}}
{{ include "fixwurx.containerSecurity" . }}
{{- end }}
{{- end }}

{{- define "fixwurx.workVolumes" -}}
- name: tmp
  emptyDir: {}
- name: work
  emptyDir: {sizeLimit: {{ .Values.nodes.workSize }}}
{{- end }}

{{- define "fixwurx.workMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: work, mountPath: /var/lib/fixwurx}
{{- end }}

{{/* What every pod may be given besides. */}}
{{- define "fixwurx.podExtras" -}}
{{- $extras := deepCopy .Values.pod -}}
{{- with .Values.image.pullSecrets -}}
{{- $names := list -}}
{{- range . }}{{ $names = append $names (dict "name" .) }}{{ end -}}
{{- $_ := set $extras "imagePullSecrets" $names -}}
{{- end -}}
{{- with $extras }}{{ toYaml . }}{{ end -}}
{{- end }}
