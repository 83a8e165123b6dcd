package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// What manifests are made of, with everything that readers of YAML are known to
// disagree about. Each is a case by itself; random ones are put together from them.
var (
	// Plain words whose type depends on the version of YAML, as values and as keys.
	words = []string{
		"a", "~", "null", "Null", "NULL", "nUll", "y", "Y", "yes", "Yes", "YES", "yEs", "n", "N", "no", "No", "NO", "on", "On", "ON",
		"off", "Off", "OFF", "true", "True", "TRUE", "tRue", "false", "False", "FALSE", "0", "1", "-1", "+1", "-0", "+0", "00", "07", "08",
		"010", "0o17", "0O17", "0x1F", "0X1f", "-0x1F", "0b101", "0B101", "-0b101", "+0b1", "0b2", "0x", "0b", "0o", "0o8", "1_000", "_1",
		"1_", "0x_1F", "0_8", "1__0", "1.", "1.0", ".5", "+.5", "-.5", ".", "..", "-", "-.", "+", "+-1", "1e3", "1E3", "1e+3", "1.5e-3",
		"1.e3", ".e3", ".5e3", "1e", "1e400", "-1e400", "1e-400", "12e03", "1.1.1", "1:20", "190:20:30", "1:20.5", "9223372036854775807",
		"9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
		"+9223372036854775808", "0xffffffffffffffff", "0x8000000000000000", "-0x8000000000000000", "8080", "0777", "0.1", "100000.5",
		"1234567.0", "123456.0", "1000000.0", "0.0001", "0.00001", "3.4e39", "16777217.0", "2001-01-01", "2001-1-1",
		"2001-01-01T00:00:00Z", "2001-01-01 00:00:00", "12:00", "1,000", "<<", "=", "!!str", ".nan", ".NaN", ".NAN", ".nAn", ".inf", ".Inf",
		".INF", "-.inf", "+.inf", "-.Inf", "nan", "inf", "NaN", "Infinity", "0.", "-0.0", "1e1_0", "0x1p4", "٣", "½", "1 2", "a b", "a#b",
		"a:b", "a,b", "[a", "?a", "-a", ":a", "a:", "a'b", "a\"b", "@a", "`a", "%a", "|a", ">a", "*a", "&a", "{{a}}", "a{b}", "a[b]",
	}
	// Values that are more than a plain word; # stands for the indentation.
	values = []string{
		"'x'", "\"x\"", "''", "\"\"", "'it''s'", "\"a\\tb\"", "\"\\x41\\u0041\\U00000041\"", "\"\\ud83d\\ude00\"", "\"\\ud800\"", "\"\\/\"",
		"\"\\q\"", "\"\\_\\N\\L\\P\\e\\0\\a\"", "\"a\\\n#  b\"", "\"a\n#  b\"", "'a\n#  b'", "'a\n\n#  b'", "\"a\n#b\"", "'a\n#b'",
		"'{\n}'", "\"{\n}\"", "'{\n#\"a\": 1\n#}'", "'a\nb'", "\"a\nb\"", "\"a\\\nb\"", "'a\n\n\nb'", "'a\n\tb'", "'a\n\t'", "\"a\n\t b\"",
		"'a\n---\nb'", "'a\n...\nb'", "'a\n--- b'", "'a\n# b'", "\"a\n# b\"", "'a\n'", "\"a\n\"", "'\n'", "'\na'", "' a '", "' a\n b '",
		"&x 'a\nb'", "!!str 'a\nb'", "!!str\n'a\nb'", "&x\n'a\nb'", "# comment 'x\n#  'a\nb'", "'a\nb' # 'c\n", "'a''\nb'", "\"a\\\"\nb\"",
		"\"a: 'b\nc: d\"", "'a\nb: c'", "'a\n- b'", "'a\n  b' c", "'a\nb'c",
		"|\n#  a\n#  b\n", ">\n#  a\n#  b\n", "|-\n#  a\n", "|+\n#  a\n\n", "|2\n#    a\n", "|1\n# a\n", ">-\n#  a\n\n#  b\n", "|\n#  a\n#   b\n#  c",
		"|\n#  ---\n#  a\n", "|\n---\n", "|\n#\ta\n", "|\n#  a\n# b\n", "|\n\n\n#  a\n", "| # comment\n#  a\n", "|x\n#  a\n", "|0\n#  a\n", "|\n",
		"|-\n", ">\n", "|\n#  # no comment\n", "|\n#  'a\n", "|\n#  a\t\n", "|\n   \n#  a\n", "|\n#  a\r\n#  b\r\n", ">\n#  a\n#   b\n#  c\n", "|9\n#  a\n",
		"a\n#  b", "a\n#b", "a\n\n#  b", "a # b\n#  c", "a\n#  # b\n#  c", "a\n#  b: c", "a\n#  - b", "a\n\t b", "a\tb", "a \t# b", "a\t#b", "a #b",
		"[]", "{}", "[a]", "[a, b]", "[a,b]", "[a,]", "[,]", "[a,,b]", "[a, 'b', \"c\"]", "[a\n, b]", "[a,\nb]", "[\na\n]", "[a, # b\n#  c]",
		"[a: b]", "[a: b, c]", "[? a : b]", "[? a, b]", "[{a: b}]", "[[a], [b]]", "{a: b}", "{a: b, c: d}", "{a: b,}", "{a}", "{a, b}", "{a: }",
		"{a:b}", "{'a':b}", "{\"a\":1}", "{a: b\n, c: d}", "{a: b,\nc: d}", "{\na: b\n}", "{? a : b}", "{? a}", "{: a}", "{a: [b, {c: d}]}",
		"{a: 'b\nc'}", "{a: \"b\n\tc\", d: e}", "{a: 'b\n\tc', d: e}", "[a\n b]", "[a b]", "[a#b]", "[a #b\n]", "{a: b}}", "[a]]", "[a", "{a: b",
		"[-a]", "[- a]", "[a-]", "[?a]", "[:a]", "[a:]", "[::]", "{a: -}", "{a: ?}", "{a::b}", "{http://a: b}", "[http://a:80/b]", "{a: b:c}", "[a]: b",
		"{a: {{ .b }}}", "{{ .a }}", "{ {a: b}: c }", "{[a]: b}", "\t{a: b}", "{\ta: b}", "{a:\tb}", "{a\t: b}", "[\ta\t,\tb\t]", "[\n\ta\n]",
		"&a b", "&a", "&a\n#  b", "*a", "*none", "&a [*a]", "&a {b: *a}", "&a [b, *a]", "! a", "! 1", "! '1'", "!!str 1", "!!str", "!!int 1",
		"!!int '1'", "!!int a", "!!int 010", "!!int 1.5", "!!float 1", "!!float 1.5", "!!float a", "!!bool yes", "!!bool 'no'", "!!bool a",
		"!!null", "!!null ''", "!!null a", "!!binary aGk=", "!!binary a", "!!binary \"/w==\"", "!!timestamp 2001-01-01", "!!set {a}", "!!map {a: b}",
		"!!seq [a]", "!!map [a]", "!!seq {a: b}", "!!omap [a: b]", "!x a", "!x 1", "!x [1]", "!x {a: 1}", "!<tag:yaml.org,2002:str> 1", "!!merge a",
		"!<!x> 1", "!e!x 1", "!!str &a 1", "&a !!str 1", "!!str !!int 1", "&a &b c", "!x", "[!x a, !!str 1]", "[!x, a]", "[&a b, *a]", "{&a b: *a}",
		"{*a : b}", "{a: &a 1, *a : b}", "!!python/none a", "!%41 a", "!!str\n#  a", "!!str # c\n#  1", "{{", "}", "]", "%a", "@a", "`a`", "- a", "? a", ": a",
		"\u00e9", "\U0001f600", "'\u00e9\n\U0001f600'", "\"\\u00e9\"", "a\u00a0b", "a\u3000b", "\ufeffa", "a\ufeff", "'\ufeff'", "a\u200bb",
	}
	// Maps whose keys are odd, and merges; # stands for the indentation.
	maps = []string{
		"#a: 1\n#a: 2", "#a: {b: 1}\n#a: {c: 2}", "#a: 1\n#'a': 2", "#1: a\n#'1': b", "#{a: b}: c", "#[a]: b", "#? a\n#: b", "#? a", "#? [a]\n#: b",
		"#? |\n#  a\n#: b", "#: a", "#'a': b", "#\"a\": b", "#'a\n#b': c", "#a b: c", "#a : b", "#a  :  b", "#a:\tb", "#a\t: b", "#\ta: b", "#a:b", "#a::b: c",
		"#&k a: b\n#c: *k", "#a: &k b\n#*k : c", "#*k : c", "#!!str 1: a", "#!!int '1': a", "#! 1: a", "#!!binary aGk=: a", "#? !!null\n#: a", "#- a: b\n#  c: d",
		"#- - a\n#  - b", "#-\n#  a: b", "#-\ta: b", "#- \ta: b", "#- # c\n#  a: b", "#-a: b", "#- a\n#- b", "#- - - a", "#a:\n#- b\n#- c", "#a:\n#  - b\n#c: d",
		"#a:\n# - b\n#- c", "#a:\n#  b: c\n# d: e", "#a:\n#   b: c\n#  d: e", "#a:\n# b:\n#  c: d\n#e: f", "#a:\n#\tb: c", "#a: b\n# c: d", "#a: b: c", "#a: 'b': c",
		"#a: - b", "#a:\n#'b\n#c'", "#a:\n#b: c", "#a:\n\n\n#b: c", "#a: # c\n#  b: c", "#a: b # c\n#c: d", "#a: b\n   # c\n#c: d", "#a: b\n# c\n#c: d",
		"#a: |\n#  b\n# # c\n#c: d", "#a: &x {b: 1, c: 2}\n#d: {<<: *x, b: 3}", "#a: &x {b: 1, c: 2}\n#d: {b: 3, <<: *x}", "#a: &x {b: 1}\n#d: {<<: *x, <<: {b: 2}}",
		"#a: &x {b: 1}\n#d: &y {b: 2, e: 3}\n#f: {<<: [*x, *y]}", "#a: &x {b: 1}\n#d: &y {b: 2, e: 3}\n#f: {<<: [*x, *y], b: 4}",
		"#a: &x {b: 1}\n#d: &y {b: 2, e: 3}\n#f: {b: 4, <<: [*x, *y]}", "#a: &x {b: 1}\n#d: &y {<<: *x, c: 2}\n#e: {c: 3, <<: *y}",
		"#a: &x {b: 1}\n#d: &y {c: 2, <<: *x}\n#e: {<<: *y, b: 5}", "#a: &x {b: {c: 1}}\n#d: {b: {e: 2}, <<: *x}", "#a: {<<: {b: 1}, c: 2}", "#a: {<<: [{b: 1}, {b: 2}]}",
		"#a: {b: 3, <<: {b: 1}, <<: {b: 2}}", "#a: {b: 3, <<: {b: 1}, b: 2}", "#a: {<<: {b: 1}, b: 2, <<: {b: 4}}", "#a: {<<: a}", "#a: {<<: }", "#a: {<<: [a]}",
		"#a: {<<: []}", "#a: {<<: {}}", "#a: {<<: [[{b: 1}]]}", "#a: &x [{b: 1}]\n#c: {<<: *x}", "#a: &x b\n#c: {<<: *x}", "#a: {'<<': {b: 1}}", "#a: {\"<<\": {b: 1}}",
		"#a: {!!str <<: {b: 1}}", "#a: {!!merge <<: {b: 1}}", "#a: {! <<: {b: 1}}", "#a: {! '<<': {b: 1}}", "#a: {!!merge a: {b: 1}}", "#a: {&m <<: {b: 1}}", "#<<: {b: 1}\n#b: 2",
		"#b: 2\n#<<: {b: 1}", "#a: &x {1: b}\n#c: {'1': d, <<: *x}", "#a: &x {1: b}\n#c: {<<: *x, '1': d}", "#a: &x {yes: b}\n#c: {true: d, <<: *x}", "#a: &x {b: c}\n#? <<\n#: *x",
		"#a: &x {b: 1}\n#d:\n#  b: 2\n#  <<: *x\n#  c: 3", "#a: &x {b: 1}\n#d:\n#  <<: *x\n#  b: 2", "#a: &x {b: &y [1]}\n#d: {<<: *x, c: *y}", "#a: &x 1\n#b: &x 2\n#c: *x",
		"#a: &x {b: *x}", "#a: &x\n#b: *x", "#a: &x {b: 1}\n#c: *x\n#d: *x", "#a: [&x b, *x]", "#a: &x !!str 1\n#b: *x", "#a: &x-1 b\n#c: *x-1", "#a: &x.y b\n#c: *x.y", "#a: *x\n#b: &x c",
		"#a: {b: c, b: d}", "#a: {b: c, 'b': d}", "#a: {1: c, 0x1: d}", "#a: {1: c, 1.0: d}", "#a: {y: c, yes: d}", "#a: {b: &q {c: 1}, c: *q, <<: *q}",
	}
	// Between documents, and whole streams.
	streams = []string{
		"", "\n", " ", "\t", "# c", "---", "---\n", "---\n---\n", "...", "...\n", "--- # c\na: 1\n", "---\t# c\na: 1\n", "---   \na: 1\n", "--- a: 1\n", "--- {a: 1}\n",
		"--- |\n  a\n", "--- !!map\na: 1\n", "---a: 1\n", "----\na: 1\n", "---#c\na: 1\n", " ---\na: 1\n", "a: 1\n---", "a: 1\n---\n", "a: 1\n---\nb: 2\n", "a: 1\n--- # c\nb: 2\n",
		"a: 1\n---b\nc: 2\n", "a: 1\n--- b\n---\nc: 2\n", "a: 1\n...\nb: 2\n", "a: 1\n...\n---\nb: 2\n", "a: 1\n... # c\n---\nb: 2\n", "a: 1\n...b\n", "a: 1\n---\n...\n---\nb: 2\n",
		"%YAML 1.1\n---\na: 1\n", "%YAML 1.2\n---\na: 1\n", "%YAML 2.0\n---\na: 1\n", "%TAG !e! tag:e,2000:\n---\na: !e!x 1\n", "%FOO bar\n---\na: 1\n", "%YAML 1.1\na: 1\n", "a: 1\n%YAML 1.1\n---\nb: 2\n",
		"a: 1\n---\n%YAML 1.1\n---\nb: 2\n", "# c\n---\n# d\na: 1\n", "# c\na: 1\n# d\n---\n# e\n", "\ufeffa: 1\n", "\ufeff---\na: 1\n", "\ufeff{\"a\": 1}", "a: 1\n---\n\ufeffb: 2\n", "\ufeff# c\na: 1\n",
		"a: 1\r\nb: 2\r\n", "a: 1\r\n---\r\nb: 2\r\n", "a: 1\rb: 2\r", "a: 1\r---\rb: 2\r", "a: |\r\n  b\r\n  c\r\n", "a: 'b\r\n  c'\r\n", "a: 'b\r\nc'\r\n", "a: 1\n\r\n---\r\n\r\nb: 2", "--- # c\r\na: 1\r\n",
		"{\"a\": 1}", "{\"a\": 1}{\"b\": 2}", "{\"a\": 1}\n{\"b\": 2}\n", "{\"a\": 1}\n---\n{\"b\": 2}\n", "{\"a\": 1}\n---\nb: 2\n", "{\"a\": 1}{\"b\": 2}\n---\nc: 3\n", "{\"a\": 1}\nb: 2\n", "{\"a\": 1} b",
		"{a: 1}", "{a: 1}\n---\nb: 2", "{a: 1}{b: 2}", "{\"a\": 1,}", "{\"a\": 1}{b: 2}", "{\"a\": 1, \"a\": 2}", "{\"a\": [1, {\"b\": null}], \"c\": true}", "{\"a\": 1e3, \"b\": 1.5, \"c\": -0}", "{\"a\": \"\\ud83d\\ude00\"}",
		"{\"a\": \"\\ud800\"}", "{\"a\": \"\\/\"}", "{\"a\": \"b\\u0000c\"}", "{\"a\": \"\u2028\"}", "{\"a\":\n\"b\"}", "{\n\t\"a\":\t1\n}", "\n\n {\"a\": 1}", "{\"a\": 1}  \n\n", "[{\"a\": 1}]", "{\"yes\": \"no\", \"1\": 1}", "{\"a\": 010}",
		"{\"a\": 'b'}", "{\"a\": yes}", "{\"a\": \"b\tc\"}", "{\"a\": 1}# c", "{\"a\": 1}\n# c\n{\"b\": 2}\n", "{}", "{} {}", "{\"<<\": {\"a\": 1}}", "{\"a\": 99999999999999999999}", "{\"a\": 1}\n---\n---\n{\"b\": 1}",
		"- a\n- b\n", "a", "1", "'a'", "null", "~", "a: 1\n---\nnull\n---\nb: 2\n", "a: 1\n---\n- b\n---\nc: 2\n", "a: 1\n---\nb\n---\nc: 2\n", "a: [\n---\nb: 2\n", "a: 1\n---\nb: [\n---\nc: 2\n", "a: 1\nb\n",
		"a: 1\n b: 2\n", " a: 1\nb: 2\n", " a: 1\n b: 2\n", "a: \u2028b\n", "# c\u2028a: 1\n", "a: 'b\u2028c'\n", "a: b\u0085c: d\n", "a: \"b\u2029c\"\n", "a: \x01\n", "a: \"\x01\"\n", "a: \x7f\n", "# \x01\na: 1\n", "a: \x00\n",
		"a: '1\nb: 2\n", "a: \"1\nb: 2\n", "a: 1\n'b\n", "a: 1\n# 'b\nc: 2\n", "a: it's\nb: 2\n", "a: |\n  it's\nb: 2\n", "a: \"b\" # \"c\nd: 'e\nf'\n", "a: 'b\nc'\nd: \"e\nf\"\ng:\n  h: 'i\nj'\n", "- 'a\nb'\n- - 'c\nd'\n",
		"'a\nb'", "\"a\nb\"\n", "a:\n  'b\n c'\n", "a:\n- 'b\nc'\n", "a:\n  - b: 'c\n  d'\n    e: f\n", "a: {b: 'c\nd', e: f}\n", "? 'a\nb'\n: c\n", "'a\nb': c\n", "a: !!str 'b\nc'\nd: &x \"e\nf\"\ng: *x\n",
		"apiVersion: v1\nkind: List\nitems: []\n", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n",
		"apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: c}}\n", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: Pod, metadata: {name: a}}\n",
		"apiVersion: v1\nkind: Listing\nitems: [a]\nmetadata: {name: a}\n", "apiVersion: v1\nkind: PlayList\nmetadata: {name: a}\n", "apiVersion: example.dev/v1\nkind: PlayList\nitems: [{metadata: {name: a}}]\n", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nmetadata: {name: b}\n",
		"apiVersion: v1\nkind: Pod\nkind: Secret\nmetadata: {name: a}\n", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations: {8080: x, yes: y, 1.5: z}\n", "kind: Pod\nmetadata: {name: a}\n", "apiVersion: v1\nmetadata: {name: a}\n", "apiVersion: v1\nkind: 1\nmetadata: {name: a}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n", "apiVersion: v1\nkind: Pod\nmetadata: {name: yes, namespace: 08}\n", "apiVersion: v1\nkind: List\nitems: {a: b}\n", "apiVersion: v1\nkind: List\n", "apiVersion: v1\nkind: List\nitems: [1]\n", "apiVersion: v1\nkind: List\nitems: null\n",
		"apiVersion: v1\nkind: Pod\nmetadata: &m {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: *m\n", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cni}\ndata:\n  cni-conf.json: '{\n\"name\": \"cbr0\"\n}'\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: after}\n",
	}
)

// indented puts the indentation into a template: for the number signs at the beginning
// of its lines.
func indented(template, indent string) string {
	var out strings.Builder
	for i := range len(template) {
		begins := i == 0 || template[i-1] == '\n'
		if template[i] == '#' && begins {
			out.WriteString(indent)
		} else {
			out.WriteByte(template[i])
		}
	}
	return out.String()
}

// fixed are the cases that are always there.
func fixed() []string {
	all := append([]string{}, streams...)
	for _, word := range words {
		all = append(all, "a: "+word+"\nb: ["+word+"]\n", word+": a\n")
	}
	for _, value := range values {
		all = append(all, "a: "+indented(value, "")+"\nb: 1\n", "a:\n  b: "+indented(value, "  ")+"\n  c: 1\nd: 2\n")
	}
	for _, one := range maps {
		all = append(all, indented(one, "")+"\n", "x:\n"+indented(one, "  ")+"\ny: 1\n")
	}
	return all
}

type generator struct{ *rand.Rand }

func pick[T any](g generator, list []T) T { return list[g.IntN(len(list))] }

// value is a random value for a place with this indentation.
func (g generator) value(indent string, depth int) string {
	switch n := g.IntN(10); {
	case n < 3:
		return pick(g, words)
	case n < 7 || depth > 3:
		return indented(pick(g, values), indent)
	case n < 8:
		return "\n" + indented(pick(g, maps), indent+"  ")
	default:
		return "\n" + g.block(indent+pick(g, []string{"  ", "  ", " ", ""}), depth+1)
	}
}

func (g generator) block(indent string, depth int) string {
	var out strings.Builder
	for range 1 + g.IntN(3) {
		switch g.IntN(8) {
		case 0:
			out.WriteString(indent + "- " + g.value(indent+"  ", depth) + "\n")
		case 1:
			out.WriteString(indented(pick(g, maps), indent) + "\n")
		case 2:
			out.WriteString(indent + pick(g, words) + ": " + g.value(indent, depth) + "\n")
		default:
			fmt.Fprintf(&out, "%s%c: %s\n", indent, 'a'+rune(g.IntN(4)), g.value(indent, depth))
		}
	}
	return out.String()
}

func (g generator) text() string {
	var out strings.Builder
	for range 1 + g.IntN(3) {
		if g.IntN(4) == 0 {
			out.WriteString(pick(g, streams))
		} else {
			out.WriteString(g.block("", 0))
		}
		if g.IntN(3) == 0 {
			out.WriteString("---\n")
		}
	}
	text := []rune(out.String())
	// A few random changes, so that the parts meet in ways nobody thought of.
	for range g.IntN(4) {
		if len(text) == 0 {
			break
		}
		at := g.IntN(len(text))
		char := pick(g, []rune(" \t\n\r#:-?,[]{}'\"|>&*!%@`\\ab01.~<=\ufeff"))
		switch g.IntN(3) {
		case 0:
			text[at] = char
		case 1:
			text = append(text[:at], text[at+1:]...)
		default:
			text = append(text[:at], append([]rune{char}, text[at:]...)...)
		}
	}
	return string(text)
}
