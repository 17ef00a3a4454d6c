{{/* Ends of connections, as NetworkPolicies name them. */}}
{{- define "fixwurx.ours" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fixwurx.dns" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end }}

{{- define "fixwurx.toStore" -}}
{{- if .Values.store.enabled }}
- to:
    - podSelector:
        matchLabels: {{- include "fixwurx.selector" (list . "store") | nindent 10 }}
  ports: [{port: {{ .Values.store.port }}}]
{{- else }}
- ports: [{port: {{ .Values.store.port }}}]
{{- end }}
{{- end }}
