import { expect } from 'chai';
import { compileAlertTemplate } from '../../../src/ruler/alert-template.ts';

const SURROUNDINGS = { externalUrl: 'https://host.example:3000/grafana', externalLabels: { cluster: 'c1' } };
const LABELS = ['app', 'web', 'host', 'web-1.example.org:9100', 'ip', '10.0.0.1:80', 'name', 'grüße', 'number', '2048'];

const made = (text: string, value = 0): string =>
  compileAlertTemplate('A', text)({ labels: LABELS, value }, SURROUNDINGS);

describe('a template of an alert', () => {
  const cases: readonly (readonly [text: string, value: number, wanted: string])[] = [
    ['plain', 0, 'plain'],
    ['{{ $labels.app }}: {{ $value }}', 12.5, 'web: 12.5'],
    ['{{ .Labels.app }}: {{ .Value }}', 3, 'web: 3'],
    ['{{ $labels.none }}|{{ index $labels "app" }}', 0, '|web'],
    ['{{ $labels.name | toUpper }} {{ title "ab cd" }} {{ toLower "AB" }}', 0, 'GRÜSSE Ab Cd ab'.replace('SS', 'ß')],
    [
      '{{ $externalLabels.cluster }} {{ .ExternalURL }} {{ externalURL }} {{ pathPrefix }}',
      0,
      'c1 https://host.example:3000/grafana https://host.example:3000/grafana /grafana',
    ],
    ['{{ range $k, $v := $labels }}{{ $k }},{{ end }}', 0, 'app,host,ip,name,number,'],
    ['{{ if gt $value 2.0 }}many{{ else }}few{{ end }}', 3, 'many'],
    ['{{ printf "%.2f" $value }}', 1.005, '1.00'],
    ['{{ $value | humanize }}', 1_234_567, '1.235M'],
    ['{{ $value | humanize }}', 0.001_234, '1.234m'],
    ['{{ $value | humanize }}', 0, '0'],
    ['{{ $value | humanize }}', -1e30, '-1e+06Y'],
    ['{{ humanize1024 $labels.number }}', 0, '2ki'],
    ['{{ $value | humanize1024 }}', 1, '1'],
    ['{{ $value | humanizeDuration }}', 0, '0s'],
    ['{{ $value | humanizeDuration }}', 0.0123, '12.3ms'],
    ['{{ $value | humanizeDuration }}', 59.4, '59.4s'],
    ['{{ $value | humanizeDuration }}', 3_725, '1h 2m 5s'],
    ['{{ $value | humanizeDuration }}', -90_061, '-1d 1h 1m 1s'],
    ['{{ $value | humanizePercentage }}', 0.12_345, '12.35%'],
    ['{{ $value | humanizeTimestamp }}', 1_435_065_584.128, '2015-06-23 13:19:44.128 +0000 UTC'],
    ['{{ $value | humanize }} {{ humanizeTimestamp $value }}', Number.NaN, 'NaN NaN'],
    ['{{ stripPort $labels.host }} {{ stripPort "[::1]:80" }} {{ stripPort "a" }}', 0, 'web-1.example.org ::1 a'],
    [
      '{{ stripDomain $labels.host }} {{ stripDomain "a.b" }} {{ stripDomain $labels.ip }}',
      0,
      'web-1:9100 a 10.0.0.1:80',
    ],
    ['{{ match "^w.b$" $labels.app }} {{ reReplaceAll "(w)(.*)" "$2-$1" $labels.app }}', 0, 'true eb-w'],
    ['{{ parseDuration "1h30m" }}', 0, '5400'],
    ['{{ with args 1 "b" }}{{ .arg1 }}{{ .arg0 }}{{ end }}', 0, 'b1'],
    ['{{ tableLink "up == 0" }}', 0, '/graph?g0.expr=up%20%3D%3D%200&g0.tab=1'],
    ['{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" $labels.app }}', 0, '<web>'],
  ];
  for (const [text, value, wanted] of cases) {
    it(`${text} of ${value} is ${wanted}`, () => expect(made(text, value)).to.equal(wanted));
  }

  it('says in its place what went wrong', () => {
    expect(made('{{ $labels.app | humanize }}')).to.match(
      /^<error expanding template: error executing template __alert_A: template: __alert_A:1:\d+: executing "__alert_A" at <humanize>: error calling humanize: strconv\.ParseFloat: parsing "web": invalid syntax>$/,
    );
    expect(made('{{ .Nothing }}')).to.match(/^<error expanding template: .*can't evaluate field Nothing/);
  });

  it('ends though it would not', () => {
    expect(made('{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}')).to.match(
      /^<error expanding template: /,
    );
    const rows = '{{ range $a := 1000 }}{{ range $b := 1000 }}x{{ end }}{{ end }}';
    expect(made(rows)).to.match(/too many steps>$/);
  });

  it('is refused where it is none, and where it asks for what there is not', () => {
    expect(() => compileAlertTemplate('A', '{{ if }}')).to.throw('missing value for if');
    for (const name of ['query', 'first', 'sortByLabel', 'default', '__line__', 'fromJson']) {
      expect(() => compileAlertTemplate('A', `{{ ${name} }}`), name).to.throw(`function "${name}" not defined`);
    }
  });
});
