{{/* What everything of a release is called. */}}
{{- define "fixwurx.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Labels of a component: (list . "controller"). */}}
{{- define "fixwurx.labels" -}}
{{- $root := index . 0 -}}
{{ include "fixwurx.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{- define "fixwurx.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "fixwurx.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The Secret that has the store's address. */}}
{{- define "fixwurx.storeSecret" -}}
{{ .Values.store.existingSecret | default (printf "%s-store" (include "fixwurx.name" .)) }}
{{- end }}

{{- define "fixwurx.flowerSecret" -}}
{{ .Values.flower.existingSecret | default (printf "%s-flower" (include "fixwurx.name" .)) }}
{{- end }}

{{/* A password that a Secret of ours has already, or a new one: (list . SECRET KEY). */}}
{{- define "fixwurx.password" -}}
{{- $root := index . 0 -}}
{{- $found := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- $known := get (get ($found | default dict) "data" | default dict) (index . 2) -}}
{{- if $known -}}{{ $known | b64dec }}{{- else -}}{{ randAlphaNum 32 }}{{- end -}}
{{- end }}

{{/* How long a node that stops may take, in s: its bugs' time, and 20 s to leave. */}}
{{- define "fixwurx.graceSeconds" -}}
{{ add (.Values.settings.FIXWURX_DRAIN_TIMEOUT_SEC | default "30" | float64 | ceil | int) 20 }}
{{- end }}
