package knowledge

import (
	"strings"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/danish"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/finnish"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/norwegian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
	"github.com/blevesearch/snowballstem/swedish"
)

// A language is one whose words are taken to their stems (Snowball's algorithms). 0 is any other.
type language uint8

// languages are those known, with the words that say nothing alone: they are not searched for unless
// there are no others, and they tell the language of a text.
var languages = [...]struct {
	name string
	stem func(*snowballstem.Env) bool
	stop string
}{
	{"", nil, ""},
	{"English", english.Stem, `a about above after again against all am an and any are as at be because been before being below between both but by can cannot could did do does doing down during each few for from further had has have having he her here hers herself him himself his how i if in into is it its itself just me more most my myself no nor not now of off on once only or other our ours out over own same she should so some such than that the their theirs them themselves then there these they this those through to too under until up upon very was we were what when where which while who whom why will with would you your yours yourself s t don ll re ve may must shall also`},
	{"German", german.Stem, `aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes auch auf aus bei bin bis bist da damit dann das dass daß dein deine dem den der des derselbe dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines einig einige einmal er es etwas euch euer für gegen gewesen hab habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in indem ins ist jede jedem jeden jeder jedes jene jetzt kann kein keine können könnte machen man manche mein meine meinem meinen meiner mich mir mit muss musste nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit selbst sich sie sind so solche soll sollte sondern sonst über um und uns unser unsere unter viel vom von vor während war waren warst was weg weil weiter welche welchem welchen welcher welches wenn werde werden wie wieder will wir wird wirst wo wollen wollte wurde würde zu zum zur zwar zwischen wann wer warum`},
	{"French", french.Stem, `au aux avec ce ces cet cette dans de des du elle en est et eux il ils je la le les leur leurs lui ma mais me même mes moi mon ne nos notre nous on ou où par pas pour qu que quel quelle quels quelles qui quoi sa se ses son sont sur ta te tes toi ton tu un une vos votre vous c d j l à m n s t y été être étaient était ai as avons avez ont avait sera comme si plus dont quand combien comment pourquoi fait cela aussi entre sans sous`},
	{"Spanish", spanish.Stem, `de la que el en y a los del se las por un para con no una su al lo como más pero sus le ya o este sí porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante todos uno les ni contra otros ese eso ante ellos e esto mí antes algunos qué unos yo otro otras otra él tanto esa estos mucho quienes nada cuál cuáles es son fue ser era está están`},
	{"Italian", italian.Stem, `ad al allo ai agli alla alle con col da dal dallo dai dagli dalla dalle di del dello dei degli della delle in nel nello nei negli nella nelle su sul sullo sui sugli sulla sulle per tra contro io tu lui lei noi voi loro mio mia mie suo sua suoi sue che chi cui non più quale quanto quanti quanta quante quello quelli quella quelle questo questi questa queste si tutto tutti a c e i l o ma ed se perché anche come dov dove è sono era il lo la gli le un uno una`},
	{"Portuguese", portuguese.Stem, `de a o que e do da em um para com não uma os no se na por mais as dos como mas ao ele das à seu sua ou quando muito nos já eu também só pelo pela até isso ela entre depois sem mesmo aos seus quem nas me esse eles você essa num nem suas meu às minha numa qual é foi são está`},
	{"Dutch", dutch.Stem, `de en van ik te dat die in een hij het niet zijn is was op aan met als voor had er maar om hem dan zou of wat mijn men dit zo door over ze zich bij ook tot je mij uit der daar haar naar heb hoe heeft hebben deze u want nog zal me zij nu ge geen omdat iets worden toch al waren veel meer doen moet ben zonder kan hun dus alles onder ja eens hier wie werd waar`},
	{"Swedish", swedish.Stem, `och det att i en jag hon som han på den med var sig för så till är men ett om hade de av icke mig du henne då sin nu har inte hans honom skulle hennes där min man ej vid kunde något från ut när efter upp vi dem vara vad över än dig kan sina här ha mot alla under någon eller allt mycket sedan denna själv detta åt utan varit hur ingen`},
	{"Danish", danish.Stem, `og i jeg det at en den til er som på de med han af for ikke der var mig sig men et har om vi min havde ham hun nu over da fra du ud sin dem os op man hans hvor eller hvad skal selv her alle vil blev kunne ind når være dog noget ville jo deres efter ned skulle denne end dette mit også under have dig anden hende mine alt meget sit`},
	{"Norwegian", norwegian.Stem, `og i jeg det at en et den til er som på de med han av ikke ikkje der så var meg seg men ett har om vi min mitt ha hadde hun nå over da ved fra du ut sin dem oss opp man kan hans hvor eller hva skal selv sjøl her alle vil bli ble blitt kunne inn når være kom noen noe ville dere deres kun ja etter ned skulle denne for deg si sine sitt mot å`},
	{"Finnish", finnish.Stem, `olla olen olet on olemme olette ovat oli en et ei emme ette eivät minä minun sinä sinun hän hänen me meidän te teidän he heidän tämä tämän tuo tuon se sen nämä nuo ne joka jonka jotka mikä mitä että ja jos koska kuin mutta niin sekä vaan vai vaikka kanssa mukaan noin poikki yli kun nyt itse kuka missä`},
	{"Russian", russian.Stem, `и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по только ее мне было вот от меня еще нет о из ему теперь когда даже ну вдруг ли если уже или ни быть был него до вас нибудь опять уж вам ведь там потом себя ничего ей может они тут где есть надо ней для мы тебя их чем была сам чтоб без будто чего раз тоже себе под будет ж тогда кто этот`},
}

var stopWords [len(languages)]map[string]bool

// speaks are the languages in which a word is one of those that say nothing.
var speaks = map[string][]language{}

func init() {
	for l := range languages {
		stopWords[l] = map[string]bool{}
		for _, w := range strings.Fields(languages[l].stop) {
			stopWords[l][w] = true
			speaks[w] = append(speaks[w], language(l))
		}
	}
}

// tell tells the language of a text by the words that its beginning and its middle have most of.
func tell(text string) language {
	const part = 4000
	if len(text) > 3*part {
		text = text[:part] + " " + text[len(text)/2:len(text)/2+part]
	}
	var count [len(languages)]int
	words := 0
	for w := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !letter(r) }) {
		words++
		for _, l := range speaks[w] {
			count[l]++
		}
	}
	best := language(0)
	for l, n := range count {
		if n > count[best] {
			best = language(l)
		}
	}
	// One word in twelve: tables and lists have few, and prose has one in two.
	if count[best]*12 < words {
		return 0
	}
	return best
}
