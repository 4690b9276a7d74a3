import { expect } from 'chai';
import fc from 'fast-check';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';
import { refusalOf } from '../pipeline/refusal-of.ts';
import { labelsAfter, lineAfter } from '../pipeline/run-pipeline.ts';

const STREAM = {
  app: 'a',
  x: '1',
  y: '2',
  n: '3.7',
  neg: '-5',
  s: ' Harbour Wall ',
  j: '[1,{"a":"b"}]',
  t: '1700000000',
};
const OPTIONS = { stream: STREAM, timeNs: 1_710_032_401_123_457_000n };

const render = (template: string, line = 'berth line u=1'): string | undefined =>
  lineAfter(`| line_format \`${template}\``, line, OPTIONS);

const errorOf = (template: string): string | undefined =>
  labelsAfter(`| line_format \`${template}\``, 'l', OPTIONS)?.['__error_details__'];

const group = (title: string, rows: readonly (readonly [template: string, text: string])[]): void => {
  describe(title, () => {
    for (const [template, text] of rows) {
      it(`${template} makes ${JSON.stringify(text)}`, () => {
        expect(render(template)).to.equal(text);
      });
    }
  });
};

describe('templates', () => {
  group('as a language', [
    ['{{.x}}-{{.y}}-{{.nope}}-{{__line__}}', '1-2--berth line u=1'],
    ['{{ .x }} {{- " trimmed " -}} {{ .y }}', '1 trimmed 2'],
    ['a {{- /* a comment */ -}} b', 'ab'],
    ['{{ $v := .x }}{{ $v }}{{ $v = .y }}{{ $v }}{{ $.n }}', '123.7'],
    ['{{ if eq .x "1" }}one{{ else if eq .x "2" }}two{{ else }}other{{ end }}', 'one'],
    ['{{ if .nope }}yes{{ else }}no{{ end }}', 'no'],
    ['{{ with .x }}[{{ . }}]{{ else }}empty{{ end }}{{ with .nope }}x{{ else }}empty{{ end }}', '[1]empty'],
    ['{{ range $i, $c := fromJson .j }}{{ $i }}={{ $c }};{{ end }}', '0=1;1=map[a:b];'],
    ['{{ range fromJson "[]" }}x{{ else }}none{{ end }}', 'none'],
    ['{{ range $i, $c := fromJson .j }}{{ if eq $i 1 }}{{ break }}{{ end }}{{ $i }}{{ end }}', '0'],
    ['{{ range $i, $c := fromJson .j }}{{ if eq $i 0 }}{{ continue }}{{ end }}{{ $i }}{{ end }}', '1'],
    ['{{ range $k, $v := . }}{{ if contains $k "xy" }}{{$k}}={{$v}};{{ end }}{{ end }}', 'x=1;y=2;'],
    ['{{ define "T" }}<{{ . }}>{{ end }}{{ template "T" .x }}{{ template "T" .y }}', '<1><2>'],
    ['{{ block "B" .x }}b{{ . }}{{ end }}', 'b1'],
    ['{{ .x | printf "%s-%s" .y }}', '2-1'],
    ['{{ .x | add 5 | mul 2 }}', '12'],
    ['{{ .x | }}', '1'],
    ["{{ 1.5 }} {{ 0x10 }} {{ true }} {{ 'a' }} {{ 1e3 }} {{ 010 }}", '1.5 16 true 97 1000 8'],
    ['{{ or .nope .y }}{{ and 1 0 }}{{ not .nope }}', '20true'],
    ['{{ (index (fromJson .j) 1).a }}', 'b'],
    ['fixed', 'fixed'],
    ['', ''],
  ]);

  group('with strings', [
    [
      '{{ lower "ABC É" }} {{ upper "abc é ß" }} {{ title "harbour wall ünder" }} {{ trim "  a b " }}',
      'abc é ABC É ß Harbour Wall Ünder a b',
    ],
    ['{{ trimAll "$" "$5$" }} {{ trimPrefix "a" "abc" }} {{ trimSuffix "c" "abc" }}', '5 bc ab'],
    ['{{ replace "l" "L" "hello" }} {{ repeat 3 "ab" }} {{ contains "ell" "hello" }}', 'heLLo ababab true'],
    ['{{ indent 2 "a\\nb" }}|{{ nindent 2 "a" }}|', '  a\n  b|\n  a|'],
    [
      '{{ Trim "xxaxx" "x" }} {{ TrimLeft "xxaxx" "x" }} {{ TrimRight "xxaxx" "x" }} {{ Replace "aaa" "a" "b" 2 }}',
      'a axx xxa bba',
    ],
    ['{{ trunc 3 "hello" }} {{ trunc -3 "hello" }} {{ trunc 9 "hi" }} {{ trunc 2 "ééé" }}', 'hel llo hi é'],
    ['{{ trunc 3 "ééé" }}', 'é\uFFFD'],
    [
      '{{ substr 0 3 "hello" }} {{ substr 1 3 "hello" }} {{ substr -1 3 "hello" }} {{ substr 2 99 "hello" }}',
      'hel el hel llo',
    ],
    [
      '{{ alignLeft 4 "éü" }}|{{ alignRight 4 "日本" }}|{{ alignLeft 3 "harbour" }}|{{ alignLeft -1 "ab" }}',
      'éü  |  日本|har|ab',
    ],
    ['{{ len "héllo" }} {{ slice "hello" 1 3 }} {{ index "abc" 1 }}', '6 el 98'],
    [
      '{{ print 1 2 "a" "b" 3 }} {{ println "x" }}{{ html "<a & b>" }} {{ js "it\'s" }} {{ urlquery "a b&c" }}',
      "1 2ab3 x\n&lt;a &amp; b&gt; it\\'s a+b%26c",
    ],
    [
      `{{ regexReplaceAll "(?P<a>l+)" "hello" "\${a}!" }} {{ regexReplaceAllLiteral "l" "hello" "$0" }} {{ count "l" "hello" }}`,
      'hell!o he$0$0o 2',
    ],
    [
      '{{ urlencode "a/b é" }} {{ urldecode "a%20b+c" }} {{ b64enc "é" }} {{ b64dec "SGk=" }} {{ b64dec "!!" }}',
      'a%2Fb+%C3%A9 a b c w6k= Hi illegal base64 data at input byte 0',
    ],
    ['{{ default "d" .nope }} {{ default "d" .x }} {{ default 7 0 }}', 'd 1 7'],
    [
      '{{ fromJson "bad" }}|{{ fromJson "{\\"b\\":1.50,\\"a\\":[true,null]}" }}',
      '<no value>|map[a:[true <nil>] b:1.5]',
    ],
  ]);

  group('with numbers', [
    [
      '{{ int .n }} {{ int "abc" }} {{ int "0x1F" }} {{ int "010" }} {{ int 3.99 }} {{ int true }} {{ float64 .n }}',
      '3 0 31 8 3 1 3.7',
    ],
    [
      '{{ add 1 2 3 }} {{ sub 5 2 }} {{ mul 2 3 4 }} {{ div -7 2 }} {{ mod -7 3 }} {{ max 1 5 2 }} {{ min 5 2 }} {{ add "1" "3.7" }}',
      '6 3 24 -3 -1 5 2 4',
    ],
    [
      '{{ addf 0.1 0.2 }} {{ subf 0.3 0.1 }} {{ mulf 1.5 2 }} {{ divf 1 3 }} {{ divf 10 4 2 }} {{ maxf 1 .n 2 }}',
      '0.3 0.2 3 0.3333333333333333 1.25 3.7',
    ],
    [
      '{{ ceil .n }} {{ floor .n }} {{ round .n 0 }} {{ round 2.675 2 }} {{ round -2.5 0 }} {{ round 1234.5 -2 }}',
      '4 3 4 2.68 -3 1200',
    ],
    [
      '{{ mulf 1500000 1 }} {{ mulf 100000 1 }} {{ divf 1 100000 }} {{ mulf 1e20 1 }} {{ float64 1000000 }}',
      '1.5e+06 100000 1e-05 1e+20 1e+06',
    ],
    [
      '{{ bytes "2 KiB" }} {{ bytes "1.5MB" }} {{ duration "1m30s" }} {{ duration_seconds "1.5s" }}',
      '2048 1.5e+06 90 1.5',
    ],
    [
      '{{ printf "%d %v %s %5.2f %t %x %q %05d %-5s| %%" 5 "a" "b" 1.5 true 255 "q" 42 "l" }}',
      '5 a b  1.50 true ff "q" 00042 l    | %',
    ],
    [
      '{{ printf "%d" .x }} {{ printf "%s" 5 }} {{ printf "%d" }} {{ printf "x" 1 }}',
      '%!d(string=1) %!s(int=5) %!d(MISSING) x%!(EXTRA int=1)',
    ],
  ]);

  group('with times', [
    ['{{ __timestamp__ }}', '2024-03-10 01:00:01.123457 +0000 UTC'],
    [
      '{{ __timestamp__ | unixEpoch }} {{ __timestamp__ | unixEpochMillis }} {{ unixEpochNanos __timestamp__ }}',
      '1710032401 1710032401123 1710032401123457000',
    ],
    ['{{ __timestamp__ | date "2006-01-02T15:04:05.000000000Z07:00" }}', '2024-03-10T01:00:01.123457000Z'],
    [
      '{{ __timestamp__.Year }} {{ __timestamp__.Month }} {{ __timestamp__.Format "15:04:05.000" }}',
      '2024 March 01:00:01.123',
    ],
    [
      '{{ toDate "2006-01-02" "2020-05-06" }} {{ toDate "2006-01-02" "bad" }}',
      '2020-05-06 00:00:00 +0000 UTC 0001-01-01 00:00:00 +0000 UTC',
    ],
    ['{{ toDateInZone "2006-01-02 15:04" "Europe/Paris" "2020-05-06 12:00" | unixEpoch }}', '1588759200'],
    ['{{ toDateInZone "2006-01-02 15:04" "No/Where" "2020-05-06 12:00" | unixEpoch }}', '1588766400'],
    ['{{ unixToTime .t }} {{ unixToTime "19373" }}', '2023-11-14 22:13:20 +0000 UTC 2023-01-16 00:00:00 +0000 UTC'],
    ['{{ unixToTime "1673798889902" }}', '2023-01-15 16:08:09.902 +0000 UTC'],
    ['{{ date "Mon Jan _2 2006 03:04PM" (unixToTime .t) }}', 'Tue Nov 14 2023 10:13PM'],
    ['{{ 1700000000 | date "15:04 MST" }}', '22:13 UTC'],
  ]);

  const ERRORS: readonly (readonly [template: string, place: string, text: string])[] = [
    ['{{ div 1 0 }}', '1:3', '<div 1 0>: error calling div: runtime error: integer divide by zero'],
    ['{{ .x.y }}', '1:5', "<.x.y>: can't evaluate field y in type string"],
    ['{{ eq .x 1 }}', '1:3', '<eq .x 1>: error calling eq: incompatible types for comparison: string and int'],
    ['{{ nil | default "d" }}', '1:3', '<nil>: nil is not a command'],
    ['{{ "a" "b" }}', '1:3', '<"a">: can\'t give argument to non-function "a"'],
    ['{{ repeat -1 "ab" }}', '1:3', '<repeat -1 "ab">: error calling repeat: strings: negative Repeat count'],
    ['{{ template "none" }}', '1:12', '<{{template "none"}}>: template "none" not defined'],
    [
      '{{ substr 3 1 "hello" }}',
      '1:3',
      '<substr 3 1 "hello">: error calling substr: runtime error: slice bounds out of range [3:1]',
    ],
    ['{{ index (fromJson .j) 5 }}', '1:3', '<index (fromJson .j) 5>: error calling index: index out of range: 5'],
    [
      '{{ regexReplaceAll "[" "x" "y" }}',
      '1:3',
      '<regexReplaceAll "[" "x" "y">: error calling regexReplaceAll: error parsing regexp: missing closing ]: `[`'.replaceAll(
        '`',
        '\u0060',
      ),
    ],
    ['{{ duration "x" }}', '1:3', '<duration "x">: error calling duration: time: invalid duration "x"'],
    ['{{ .n | float64 | round 0 }}', '1:24', '<0>: wrong type for value; expected int; got float64'],
    ['{{ urldecode "%zz" }}', '1:3', '<urldecode "%zz">: error calling urldecode: invalid URL escape "%zz"'],
    ['{{ lower 5 }}', '1:9', '<5>: expected string; found 5'],
  ];
  for (const [template, place, text] of ERRORS) {
    it(`${template} leaves the line and says why`, () => {
      expect(errorOf(template)).to.equal(`template: line:${place}: executing "line" at ${text}`);
      expect(render(template)).to.equal('berth line u=1');
    });
  }

  const REFUSED: readonly (readonly [template: string, text: string])[] = [
    ['{{ .x', 'unclosed action'],
    ['{{ if }}', 'missing value for if'],
    ['{{ end }}', 'unexpected {{end}}'],
    ['{{ nofunc .x }}', 'function "nofunc" not defined'],
    ['{{ .a-b }}', "bad character U+002D '-'"],
    ['{{ if .x }}open', 'unexpected EOF'],
    ['{{ "open }}', 'unterminated quoted string'],
    ['{{ 1x }}', 'bad number syntax: "1x"'],
    ['{{ (.x }}', 'unclosed left paren'],
    ['{{ break }}', '{{break}} outside {{range}}'],
    ['{{ $v }}', 'undefined variable "$v"'],
    ['{{ .x | 5 }}', 'non executable command in pipeline stage 2'],
  ];
  for (const [template, text] of REFUSED) {
    it(`${template} does not parse`, () => {
      expect(refusalOf(`| line_format \`${template}\``)).to.match(/^parse error : stage/);
      expect(refusalOf(`| line_format \`${template}\``)).to.contain(`invalid line template: template: line:1: ${text}`);
    });
  }

  it('shows the error marks, but not to a template that is a single label', () => {
    expect(lineAfter('| json | line_format "[{{.__error__}}]"', 'bad')).to.equal('[JSONParserErr]');
    expect(lineAfter('| json | line_format "{{.__error__}}"', 'bad')).to.equal('');
  });

  it('bounds what a template may do', () => {
    const bounded = [
      '{{ repeat 1000000000 "x" }}',
      '{{ define "T" }}{{ template "T" . }}{{ template "T" . }}{{ end }}{{ template "T" . }}',
      '{{ range 1000000000 }}x{{ end }}',
      '{{ range 1000000000000 }}{{ end }}',
      '{{ range 900 }}{{ printf "%1000000d" 1 | upper | len }}{{ end }}',
      '{{ $f := repeat 100000 "2006" }}{{ range 900 }}{{ $t := __timestamp__.Format $f }}{{ end }}',
      '{{ $t := repeat 1000000 "a" }}{{ range 90000 }}{{ range $t }}{{ break }}{{ end }}{{ end }}',
      `{{ $z := 1 }}${'{{ $a := 1 }}'.repeat(2000)}{{ range 30000 }}{{ if $z }}{{ end }}{{ end }}`,
      '{{ $s := "xxxxxxxxxx" }}{{ range 1000 }}{{ $s = print $s $s }}{{ end }}',
      '{{ indent 100000000 "a" }}',
      '{{ $s := repeat 1000 "a" }}{{ replace "a" (repeat 100000 "b") $s }}',
    ];
    for (const template of bounded) expect(errorOf(template), template.slice(0, 99)).to.be.a('string');
    expect(render('{{ printf "%1000000001d" 1 }}')).to.be.a('string');
  });

  it('never throws, whatever the template is', () => {
    const piece = fc.constantFrom(
      '{{',
      '}}',
      ' ',
      '.x',
      '$v',
      ':=',
      '|',
      '(',
      ')',
      '"a"',
      '1',
      'if',
      'end',
      'range',
      'else',
      'len',
      'index',
      '-',
      'printf "%s"',
      'define "T"',
      'template "T"',
      'nil',
      'fromJson .j',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const tail = `| line_format \`{{${pieces.join(' ')}}}\``;
        if (refusalOf(tail) === 'nothing') expect(lineAfter(tail, 'l', OPTIONS)).to.be.a('string');
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
