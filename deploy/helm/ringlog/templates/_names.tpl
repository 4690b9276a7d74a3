{{- define "ringlog.labels" -}}
{{ include "ringlog.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ringlog.selector" -}}
app.kubernetes.io/name: ringlog
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
