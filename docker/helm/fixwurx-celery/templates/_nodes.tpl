{{/* What the pods are made from that the controller starts: docs/providers.md#kubernetes. */}}
{{- define "fixwurx.nodeOptions" -}}
namespace: {{ .Release.Namespace }}
# With it go the nodes.
owner: Deployment/{{ include "fixwurx.name" . }}-controller
labels: {{- include "fixwurx.selector" (list . "node") | nindent 2 }}
{{- with .Values.nodes.annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
template: {{- include "fixwurx.nodeTemplate" . | nindent 2 }}
{{- end }}

{{/* Ours, with nodes.template over it; what is a list there, comes behind ours. */}}
{{- define "fixwurx.nodeTemplate" -}}
{{- $given := deepCopy .Values.nodes.template -}}
{{- $theirs := index (get $given "containers" | default (list dict)) 0 -}}
{{- $pod := include "fixwurx.nodePod" . | fromYaml -}}
{{- $ours := index $pod.containers 0 -}}
{{- $mounts := concat $ours.volumeMounts (get $theirs "volumeMounts" | default list) -}}
{{- $volumes := concat $pod.volumes (get $given "volumes" | default list) -}}
{{- $container := mergeOverwrite $ours $theirs (dict "volumeMounts" $mounts) -}}
{{- $lists := dict "containers" (list $container) "volumes" $volumes -}}
{{ mergeOverwrite $pod $given $lists | toYaml }}
{{- end }}

{{- define "fixwurx.nodePod" -}}
{{ include "fixwurx.podExtras" . }}
securityContext: {{- include "fixwurx.podSecurity" . | nindent 2 }}
{{- if .Values.nodes.sandbox }}
hostUsers: false
{{- end }}
containers:
  - name: node
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    {{- include "fixwurx.readiness" . | nindent 4 }}
    securityContext: {{- include "fixwurx.nodeSecurity" . | nindent 6 }}
    resources: {{- toYaml .Values.nodes.resources | nindent 6 }}
    volumeMounts: {{- include "fixwurx.workMounts" . | nindent 6 }}
volumes: {{- include "fixwurx.workVolumes" . | nindent 2 }}
{{- end }}
