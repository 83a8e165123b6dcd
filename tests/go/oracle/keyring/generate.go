package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// Keys and repositories from which cases are put together. Random ones are made
// from these by small changes, so every odd spelling that has a meaning is here.
var (
	keys = []string{
		"reg.example.com", "reg.example.com:443", "reg.example.com:0443", "reg.example.com:5000", "reg.example.com/", "reg.example.com//",
		"reg.example.com/team", "reg.example.com/team/", "reg.example.com/team/app", "reg.example.com/tea", "reg.example.com/team/app:v1",
		"reg.example.com/team/app@sha256", "reg.example.com/*", "reg.example.com/te*", "reg.example.com/Team", "REG.example.com",
		"http://reg.example.com", "https://reg.example.com", "HTTPS://reg.example.com", "Http://reg.example.com", "https://https://reg.example.com",
		"https:reg.example.com", "http:/reg.example.com", "docker://reg.example.com", "oci://reg.example.com", "ftp://reg.example.com/x",
		"reg.example.com/v1", "reg.example.com/v1/", "reg.example.com/v2", "reg.example.com/v2/", "reg.example.com/v2/team",
		"reg.example.com/v1/v2/team", "reg.example.com/v3/", "reg.example.com/v2//team", "reg.example.com/V2/", "reg.example.com:5000/v2/",
		"https://reg.example.com/v2/team", "https://reg.example.com:443/v1/", "v1/", "v2/reg", "/v1/", "/v2/",
		" reg.example.com", "reg.example.com ", "\treg.example.com", "reg.example.com\n", "reg.example.com/team ", "reg. example.com",
		"user@reg.example.com", "user:pw@reg.example.com", "a@b@reg.example.com", "us er@reg.example.com", "user%40x@reg.example.com",
		"user%zz@reg.example.com", "@reg.example.com", ":@reg.example.com", "üser@reg.example.com", "us/er@reg.example.com", "u[ser@reg.example.com",
		"reg.example.com?x=1", "reg.example.com/team?x", "reg.example.com?", "reg.?xample.com", "reg.example.com/?", "reg.example.com??",
		"reg.example.com#x", "reg.example.com/team#x", "reg.example.com#%zz", "reg.example.com#\x01", "reg.example.com#", "reg.example.com/#/team",
		"reg.example.com:", "reg.example.com:/team", "reg.example.com:abc", "reg.example.com:50a", "reg.example.com:-1", "reg.example.com:5000:5000",
		"reg.example.com:99999999999999999999", "reg.example.com:٣", ":5000", ":", "a:b:c", "reg.example.com:%35",
		"reg.example.com%2fteam", "reg.example.com/%74eam", "reg.example.com/team%2fapp", "reg.example.com/%zz", "reg.example.com/%", "reg.example.com/%4",
		"reg.example.com/%3fx", "reg.example.com/%23x", "reg.example.com/%2525", "reg.example.com/%25zz", "reg.example.com/team%00", "reg.example.com/%ff",
		"%72eg.example.com", "reg%2eexample.com", "r%c3%a4g.example.com", "räg.example.com", "reg%25.example.com", "reg%2541.example.com", "reg%ff.example.com",
		"reg%80*.example.com", "reg.%c3.com", "reg\\.example.com", "re\\g.example.com", "reg.example.com\\", "reg.example.com/te\\am",
		"*", "*.example.com", "*.*.com", "*.*.*", "reg.*.com", "reg.example.*", "*.com", "**.example.com", "r*.example.com", "*g.example.com",
		"r*g.example.com", "r**g.example.com", "*e*.ex*le.c*m", "*:5000", "*.example.com:5000", "*.example.com/team", "reg.example.com:*", "*.example.com:*",
		"reg1.example.com", "reg*.example.com", "reg?.example.com", "reg[12].example.com", "reg[1-3].example.com", "reg[^1].example.com", "reg[.example.com",
		"reg].example.com", "[reg].example.com", "[a-z]eg.example.com", "r[e]g.example.com:5000", "reg{1,2}.example.com", "reg!.example.com", "reg$.example.com",
		"[::1]", "[::1]:5000", "[::1]:", "[::1]:abc", "[::1]/team", "[::1]:5000/team", "[::2]:5000", "[0:0:0:0:0:0:0:1]:5000", "[::1", "::1]", "[]", "[]:5000",
		"[2001:db8::1]:443", "[2001:DB8::1]:443", "[fe80::1%25eth0]:5000", "[fe80::1%eth0]:5000", "[fe80::1%25]:5000", "[fe80::1%25e%20h]", "[fe80::1%25%2f]",
		"[fe80::1%2525]:1", "[::ffff:1.2.3.4]:5000", "[::ffff:01.2.3.4]:5000", "[1.2.3.4]:5000", "[1.2.3.4]", "[v1.x]", "[:::1]:5000", "[::1::]:5000", "[12345::]:5000", "[g::]:5000",
		"[1:2:3:4:5:6:7:8]:1", "[1:2:3:4:5:6:7::]:1", "[1:2:3:4:5:6:7::8]:1", "[1:2:3:4:5:6:7]:1", "[%41::]:1", "[%c3%a4::]:1", "x[::1]:5000", "[::1]x:5000", "[[::1]]:5000", "*[::1]",
		"[abc]", "[ABC]", "[abc]:5000",
		"localhost", "localhost:5000", "LOCALHOST", "LOCALHOST:5000", "127.0.0.1:5000", "127.0.0.*:5000", "10.0.0.1", "myhost", "MyHost", "my_reg.example.com", "my_reg.*.com",
		"docker.io", "docker.io/", "docker.io/library", "docker.io/library/nginx", "docker.io/team", "docker.io/v1/", "https://docker.io/v2/", "*.io", "d*.io", "*.docker.io",
		"https://index.docker.io/v1/", "https://index.docker.io/v2/", "https://index.docker.io/v1", "http://index.docker.io/v1/", "index.docker.io", "index.docker.io/",
		"index.docker.io/v1/", "index.docker.io/library", "index.docker.io:443", "*.docker.io/v1/", "INDEX.DOCKER.IO", "user@index.docker.io", "index%2edocker.io",
		"https://index.docker.io/v1/x", "https://index.docker.io//v1/", "https://index.docker.io/v1/?x", "https://index.docker.io/v1//", "index.docker.io#", "index.docker.*",
		"registry-1.docker.io", "hub.docker.com", "registry.hub.docker.com", "auth.docker.io/token",
		"quay.io", "quay.io/core", "quay.io/coreos", "quay.io/coreos/", "quay.io/coreos/etcd", "quay.io/coreos/etcd:v1", "quay.io/*", "quay.*",
		"", "/", "//", ".", "..", "a", "http://", "https://", "https:///", "https:///team", "?", "#", "%", "%41", "@", "\\", "[", "]", "-", "_", "~", "!", "\"", "'", "<", ">", "`", "^", "|", "{}", " ",
		"\u0000", "\u007f", "\u0080", "\ufeffreg.example.com", "reg.example.com\u200b", "\u212a.example.com", "日本.example.com", "reg.example.com/日本", "\ufffd",
	}
	repositories = []string{
		"reg.example.com/team/app", "reg.example.com/team/app", "reg.example.com/app", "reg.example.com:443/team/app", "reg.example.com:5000/team/app", "reg.example.com:0443/app",
		"REG.example.com/team/app", "reg1.example.com/app", "reg2.example.com/app", "a.b.example.com/app", "my_reg.example.com/team/app", "räg.example.com/app",
		"docker.io/library/nginx", "docker.io/library/nginx", "docker.io/team/app", "index.docker.io/library/nginx", "registry-1.docker.io/library/nginx", "docker.io:443/library/nginx",
		"quay.io/coreos/etcd", "quay.io/core/x", "localhost/app", "localhost:5000/app", "LOCALHOST/app", "MyHost/app", "LOCALHOST:5000/team/app", "127.0.0.1:5000/app", "10.0.0.1/app",
		"[::1]:5000/app", "[::1]/app", "[::1]:5000/team/app", "[2001:db8::1]:443/app", "[ABC]/app", "[abc:]/app", "[1:2:3:4:5:6:7::]:1/app", "[::ffff:1.2.3.4]:5000/a",
		"reg.example.com/v1/app", "reg.example.com/v2/team/app", "reg.example.com:99999999999999999999/app", "reg-ex.com/a", "0x7f.1/app", "xn--exmple-cua.com/app",
		"registry.cn-hangzhou.aliyuncs.com/xxxx/rbd-rest-api", "kube-registry.cdn/kube-test/myweb",
	}
	// No image has these names; the keyring must still answer as the Go code does.
	oddRepositories = []string{
		"", "/", "nginx", "library/nginx", "team/app", "/app", "reg.example.com", "reg.example.com/", "reg.example.com//app", "reg.example.com/team?x", "reg.example.com/#x",
		"reg.example.com/%74eam/app", "reg.example.com/%zz", "reg.example.com:abc/app", "user@reg.example.com/app", "http://reg.example.com/app", "[::1/app", "reg.example.com/team app",
		"reg.example.com/\x01", "r%c3%a4g.example.com/app", "reg%ff.example.com/app", "index.docker.io", "docker.io", "*.example.com/app", "reg\u00e9.example.com/x", ".", ":", "@", "?",
	}
	edits = strings.Split("a|b|e|x|z|A|E|0|1|5|.|.|-|_|:|:|/|/|@|?|#|%|%2|%25|%41|%c3|%ff|%2f|[|]|*|*|^|\\|!|$|&|'|(|)|+|,|;|=|<|>|\"|~|`|{|}| |\t|\x01|\x7f|é|\u212a|v1/|/v2/|http://|https://|[a-z]|[^x]", "|")
)

// table holds each key with the repositories it might serve, and each payload.
func table() []keyringCase {
	var list []keyringCase
	add := func(repository string, secrets ...secret) {
		list = append(list, keyringCase{Secrets: append([]secret{}, secrets...), Repository: repository})
	}
	for i, key := range keys {
		one := config("j", entry(key, plain(0)))
		add(related(key, i), one)
		add(repositories[i%len(repositories)], one)
	}
	for i, repository := range append(repositories, oddRepositories...) {
		add(repository, config("j", entry(repository, plain(0))))
		host, _, _ := strings.Cut(repository, "/")
		add(repository, config("j", entry(host, plain(0)), entry("*."+host, plain(1)), entry("https://index.docker.io/v1/", plain(2))))
		add(repository, config("c", entry(keys[i], plain(0)), entry("index.docker.io", plain(1))))
	}
	const repository = "reg.example.com/team/app"
	for _, value := range values(7) {
		add(repository, config("j", entry("reg.example.com", value)))
		add(repository, config("c", entry("reg.example.com", value), entry("*.example.com", plain(1))))
		// A defect in a secret that is not needed stops the pod as well.
		add(repository, config("j", entry("reg.example.com", plain(0))), config("j", entry("other.example.com", value)))
	}
	for _, payload := range payloads() {
		for _, kind := range []string{"j", "c", "o"} {
			add(repository, text(kind, payload))
			add(repository, config("j", entry("reg.example.com", plain(0))), text(kind, payload))
		}
	}
	// Keys are taken apart twice and images once, so an escape of an escape fits one.
	for _, pair := range [][2]string{
		{"r%25c3%25a4g.example.com", "r\u00e4g.example.com/app"},
		{"[fe80::1%25251]:5000", "[fe80::1%251]:5000/app"},
		{"[fe80::1%2525a%2520b]:1", "[fe80::1%25a%20b]:1/app"},
		{"[fe80::1%2525a%252fb]:1", "[fe80::1%25a%2fb]:1/app"},
		{"[fe80::1%2525]:1", "[fe80::1%25]:1/app"},
		{"reg.example.com/%2574eam", "reg.example.com/team/app"},
		{"reg.example.com/%252574eam", "reg.example.com/team/app"},
		{"reg.example.com/te%253fam", "reg.example.com/te%3fam/app"},
		{"reg%25c3%25a4%25ff.example.com", "reg%c3%a4%ff.example.com/app"},
	} {
		add(pair[1], config("j", entry(pair[0], plain(0))))
	}
	add("docker.io/library/nginx", config("j", entry("https://index.docker.io/v1/", plain(0)), entry("docker.io", plain(1))))
	add("docker.io/library/nginx", config("j", entry("https://index.docker.io/v1/", plain(0))), config("j", entry("docker.io", plain(1))))
	add(repository, config("j", entry("*.example.com", plain(0)), entry("reg.example.com", plain(1)), entry("reg.example.com/team", plain(2))))
	add(repository, config("j", entry("reg.example.com", plain(0))), config("j", entry("reg.example.com", plain(1))), config("c", entry("reg.example.com", plain(2))))
	add(repository)
	return list
}

// values are one registry's entry: all the ways to say, or fail to say, who asks.
func values(n int) []string {
	user := fmt.Sprintf("u%d", n)
	login := user + ":p" + user
	std := base64.StdEncoding.EncodeToString
	raw := base64.RawStdEncoding.EncodeToString
	auth := func(value string) string { return `{"auth":` + quote(value) + `}` }
	list := []string{
		plain(n), `{}`, `null`, `""`, `"x"`, `[]`, `0`, `true`, `false`, `1e999`, `[{}]`,
		`{"username":"` + user + `"}`, `{"password":"p"}`, `{"identitytoken":"t"}`, `{"registrytoken":"t"}`, `{"email":"e@example.com"}`,
		`{"username":1}`, `{"password":1}`, `{"email":1}`, `{"auth":1}`, `{"username":null,"password":null,"auth":null,"email":null}`, `{"username":true}`, `{"username":[]}`,
		`{"username":{}}`, `{"password":{"a":1}}`, `{"auth":{}}`, `{"auth":[]}`, `{"auth":false}`, `{"email":{}}`, `{"identitytoken":1,"x":[1,{"y":null}]}`,
		`{"USERNAME":"` + user + `","Password":"p"}`, `{"u\u017fername":"` + user + `"}`, `{"pa\u017fsword":"p"}`, `{"pa\u017f\u017fWORD":1}`, `{"AUTH":"` + std([]byte(login)) + `"}`, `{"aut\u0068":"` + std([]byte(login)) + `"}`,
		`{"username":"a","username":"` + user + `"}`, `{"username":"` + user + `","username":null}`, `{"username":"a","USERNAME":"b","username":"c"}`, `{"username":"a","username":1}`, `{"auth":"` + std([]byte(login)) + `","auth":""}`,
		`{"auth":"","username":"` + user + `","password":"p"}`, `{"auth":"` + std([]byte(login)) + `","username":"other","password":"other"}`, `{"auth":"!","username":"a"}`,
		`{"username":"\ud83d\ude00","password":"\ud800"}`, `{"username":"\udc00\ud800x","password":"\ud800\u0041"}`, `{"username":"\ud800\ud83d\ude00"}`, `{"username":"\\\"\/\b\f\n\r\t\u0000\u001f"}`, `{"username":"\x"}`, `{"username":"\u12g4"}`, `{"username":"\'"}`,
		"{\"username\":\"\x01\"}", "{\"username\":\"\x7f\u00e4\u2028\"}", "{\"username\":\"\xff\xfe\"}", "{\"username\":\"\xc3\",\"password\":\"\xe2\x82\"}", "{\"username\":\"\xed\xa0\x80\"}", "{\"\xff\":1}", `{"username ":"a"}`,
		auth(std([]byte(login))), auth(raw([]byte(login))), auth(std([]byte(user + ":p:q:r"))), auth(std([]byte(":"))), auth(std([]byte(":p"))), auth(std([]byte(user + ":"))), auth(std([]byte(user))), auth(std([]byte("uu"))), auth(std([]byte("uuu"))),
		auth(std([]byte(login + "\n"))), auth(std([]byte(login)) + "\n"), auth("\n" + std([]byte(login))), auth(std([]byte(login)) + " "), auth(" " + std([]byte(login))), auth(raw([]byte(login)) + " "), auth(raw([]byte(login)) + "\r\n"), auth(raw([]byte(login)) + "="), auth(raw([]byte(login)) + "=="), auth(raw([]byte(login)) + "==="),
		auth(login), auth("="), auth("=="), auth("===="), auth("Og"), auth("Og="), auth("Og=="), auth("Oh=="), auth("Oh"), auth("dTpw"), auth("dTp"), auth("dTpwcA="), auth("dTpwcA\n=\n="), auth("dTpwcA=\n=\n\n"), auth("dT\npw"), auth("d\r\nT\rpw"), auth("dTpw=="), auth("dTpwcA==dTpw"), auth("dTpwcA==\u0085"), auth("dTpwcA==\u00a0"), auth("dTpw\u2003"),
		auth("\n"), auth(" "), auth("\r\n\t"), auth("A"), auth("AA"), auth("AAA"), auth("AAAA"), auth("-_-_"), auth("dTpwPz8_"), auth("dTpwPz8/"), auth("\u00e4"), auth("dTpw\x00"), auth(base64.URLEncoding.EncodeToString([]byte("u:\xfb\xff"))), auth(std([]byte("u\xff:p\xfe"))), auth(std([]byte("\xc3:\xa4"))), auth(std([]byte("ä:ö"))),
		`{"auth":` + quote(std([]byte(login))) + `}x`, `{"auth":` + quote(std([]byte(login))), `{,}`, `{"a":}`, `{"a":1,}`, `{'a':1}`, `{"a" 1}`, `{"a":01}`, `{"a":1.}`, `{"a":.1}`, `{"a":-}`, `{"a":+1}`, `{"a":1e}`, `{"a":-0.0e+10}`, `{"a":tru}`, `{"a":nul}`, `{"a":NaN}`, `{"a":"`, "{\"a\":\"\n\"}", `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[}`, `{/**/}`,
		` { "username" : "` + user + `" , "password" : "p" } `, "\n{\r\n\t\"username\":\"" + user + "\"}\n", "\v{}", "\f{}", "\u00a0{}",
		`{"x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, `{"x":` + strings.Repeat(`{"y":`, 200) + "1" + strings.Repeat("}", 200) + `}`, `{"x":` + strings.Repeat("[", 300) + `}`,
	}
	return list
}

// payloads are whole files, most of them not what the kubelet wants.
func payloads() []string {
	good := `{"reg.example.com":` + plain(0) + `}`
	other := `{"reg.example.com":` + plain(1) + `}`
	more := `{"*.example.com":` + plain(2) + `}`
	return []string{
		"", " ", "\n", "null", "true", "0", `""`, `"x"`, "[]", "{}", "{", "}", "[", "nul", "nulll", "null null", "{}{}", "{} ", "{}\x00", "\ufeff{}", "\x00", "// x\n{}", "{}\n\n",
		good, `{"auths":` + good + `}`, `{"AUTHS":` + good + `}`, `{"Auths":` + good + `}`, `{"auth\u017f":` + good + `}`, `{"\u0061uths":` + good + `}`, `{"auth":` + good + `}`, `{"auths ":` + good + `}`,
		`{"auths":null}`, `{"auths":{}}`, `{"auths":[]}`, `{"auths":""}`, `{"auths":1}`, `{"auths":true}`, `{"auths":[` + good + `]}`, `{"auths":{"reg.example.com":[]}}`,
		`{"auths":` + good + `,"auths":` + other + `}`, `{"auths":` + good + `,"AUTHS":` + more + `}`, `{"auths":` + good + `,"auths":null}`, `{"auths":null,"auths":` + good + `}`, `{"auths":` + good + `,"auths":null,"auths":` + more + `}`, `{"auths":` + good + `,"auths":{}}`, `{"auths":` + good + `,"auths":[]}`,
		`{"auths":{"reg.example.com":` + plain(0) + `,"reg.example.com":` + plain(1) + `}}`, `{"auths":{"reg.example.com":` + plain(0) + `,"reg.example.com":{}}}`, `{"auths":{"reg.example.com":` + plain(0) + `,"reg.example.com":null}}`, `{"auths":{"reg.example.com":` + plain(0) + `,"reg.example.com":1}}`, `{"auths":{"reg.example.com":{"username":"a"},"reg.example.com":{"password":"b"}}}`, `{"auths":{"reg.example.com":` + plain(0) + `,"\u0072eg.example.com":` + plain(1) + `}}`,
		`{"auths":` + good + `,"HttpHeaders":{"X":"y"}}`, `{"auths":` + good + `,"HttpHeaders":{"X":1}}`, `{"auths":` + good + `,"HttpHeaders":{"X":null}}`, `{"auths":` + good + `,"HttpHeaders":null}`, `{"auths":` + good + `,"HttpHeaders":"x"}`, `{"auths":` + good + `,"httpheaders":[]}`, `{"auths":` + good + `,"HTTPHEADER\u017f":1}`, `{"auths":` + good + `,"HttpHeaders":{"X":[]}}`, `{"auths":` + good + `,"HttpHeaders":{"X":{}}}`, `{"HttpHeaders":{"X":true},"auths":` + good + `}`,
		`{"credsStore":"desktop"}`, `{"auths":{"reg.example.com":{}},"credsStore":"desktop"}`, `{"auths":` + good + `,"credHelpers":{"reg.example.com":"x"},"credsStore":1}`, `{"credHelpers":{"reg.example.com":"ecr-login"}}`, `{"auths":` + good + `,"proxies":[1,2,{"a":"b"}],"detachKeys":"x"}`,
		"{\"auths\":{\"reg\xff.example.com\":" + plain(0) + "}}", "{\"auths\":{\"reg.example.com\":" + plain(0) + "},\"\xff\":\"\xfe\"}", "{\"auths\":" + good + "\xff}", `{"auths":{"reg\ud800.example.com":` + plain(0) + `}}`, `{"auths":{"*\u0000":` + plain(0) + `}}`,
		"\r\n{ \"auths\" :\t" + good + " }\n", `{"auths":` + good + `,}`, `{"auths":` + good + `}}`, `{"auths":` + good, `{"auths":{"reg.example.com":` + plain(0) + `,}}`, `{'auths':` + good + `}`, `{auths:` + good + `}`, `{"auths":` + good + `} {}`,
	}
}

func mixture(random *rand.Rand) keyringCase {
	one := keyringCase{Repository: pick(random, repositories)}
	if random.IntN(12) == 0 {
		one.Repository = pick(random, oddRepositories)
	}
	if random.IntN(8) == 0 {
		one.Repository = mutate(random, one.Repository)
	}
	number := 0
	for count := 1 + random.IntN(3); count > 0; count-- {
		var entries []string
		for count := 1 + random.IntN(5); count > 0; count-- {
			entries = append(entries, entry(key(random, one.Repository), value(random, number)))
			number++
		}
		made := config(pick(random, []string{"j", "j", "j", "c"}), entries...)
		if random.IntN(15) == 0 {
			made = text(made.Type, mutate(random, string(made.payload())))
		}
		if random.IntN(60) == 0 {
			made = text(pick(random, []string{"j", "c", "o"}), pick(random, payloads()))
		}
		one.Secrets = append(one.Secrets, made)
	}
	// JSON would carry it over changed.
	one.Repository = strings.ToValidUTF8(one.Repository, "\ufffd")
	return one
}

// key is a key from the list, or one made to fit the repository, perhaps changed.
func key(random *rand.Rand, repository string) string {
	made := pick(random, keys)
	if random.IntN(3) > 0 {
		made = fitting(random, repository)
	}
	for edits := random.IntN(7) - 4; edits > 0; edits-- {
		made = mutate(random, made)
	}
	return made
}

func fitting(random *rand.Rand, repository string) string {
	host, path, _ := strings.Cut(repository, "/")
	labels := strings.Split(host, ".")
	for i, label := range labels {
		if random.IntN(4) == 0 {
			at := random.IntN(len(label) + 1)
			labels[i] = pick(random, []string{"*", "*", label[:at] + "*", "*" + label[at:], label[:at] + "*" + label[at:], "**"})
		}
	}
	made := strings.Join(labels, ".")
	made = pick(random, []string{"", "", "", "", "http://", "https://", "user@"}) + made
	made += pick(random, []string{"", "", "", "", "", "/", "/v1/", "/v2/", "/v1"})
	if random.IntN(3) == 0 {
		made = strings.TrimSuffix(made, "/") + "/" + path[:random.IntN(len(path)+1)]
	}
	return made
}

func value(random *rand.Rand, number int) string {
	if random.IntN(40) == 0 {
		return pick(random, values(number))
	}
	login := fmt.Sprintf("u%d:p%d", number, number)
	switch random.IntN(4) {
	case 0:
		return `{"auth":` + quote(base64.StdEncoding.EncodeToString([]byte(login))) + `}`
	case 1:
		return `{"auth":` + quote(base64.RawStdEncoding.EncodeToString([]byte(login))) + `,"email":"e"}`
	default:
		return plain(number)
	}
}

func mutate(random *rand.Rand, input string) string {
	if input == "" {
		return pick(random, edits)
	}
	at := random.IntN(len(input))
	switch random.IntN(7) {
	case 0:
		return input[:at] + input[at+1:]
	case 1:
		return input[:at] + input[at:at+1] + input[at:]
	case 2:
		return input[:at]
	case 3:
		return input[at:]
	case 4:
		return input[:at] + pick(random, edits) + input[at+1:]
	default:
		return input[:at] + pick(random, edits) + input[at:]
	}
}

// related is a repository that the key looks made for.
func related(key string, i int) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key = strings.NewReplacer("*", "a", "/v1/", "/", "/v2/", "/").Replace(key)
	host, path, _ := strings.Cut(key, "/")
	if strings.HasPrefix(host, "index.docker.io") {
		host = "docker.io"
	}
	if path == "" || i%2 == 0 {
		path = "team/app"
	}
	return host + "/" + path
}

func plain(n int) string { return fmt.Sprintf(`{"username":"u%d","password":"p%d"}`, n, n) }

func entry(key, value string) string { return quote(key) + ":" + value }

func config(kind string, entries ...string) secret {
	auths := "{" + strings.Join(entries, ",") + "}"
	if kind == "j" {
		auths = `{"auths":` + auths + `}`
	}
	return text(kind, auths)
}

func text(kind, payload string) secret {
	if utf8.ValidString(payload) {
		return secret{Type: kind, Text: payload}
	}
	return secret{Type: kind, Data: []byte(payload)}
}

func (from secret) payload() []byte {
	if from.Data != nil {
		return from.Data
	}
	return []byte(from.Text)
}

// quote is JSON's, but leaves bytes alone that are not UTF-8.
func quote(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, char := range []byte(text) {
		switch {
		case char == '"' || char == '\\':
			out.WriteByte('\\')
			out.WriteByte(char)
		case char < ' ':
			fmt.Fprintf(&out, `\u%04x`, char)
		default:
			out.WriteByte(char)
		}
	}
	out.WriteByte('"')
	return out.String()
}

func pick(random *rand.Rand, list []string) string { return list[random.IntN(len(list))] }
