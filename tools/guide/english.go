package guide

// Simple English from a grammar: little stories and descriptions, so that the model
// sees whole sentences, pronouns that fit, and times in their order. A story keeps to
// its people, place and thing from the first sentence to the last, since that is what
// a small model must learn.

import (
	"math/rand/v2"
	"strings"
)

// A person of a story, with the pronouns.
type person struct{ name, he, his, him string }

type storyteller struct{ varier }

func newStoryteller(r *rand.Rand) storyteller { return storyteller{varier{r}} }

var (
	girls = strings.Fields("Anna Bea Clara Dora Emma Fay Greta Hanna Ida June Kate Lena Mia Nora Olga Paula Rosa Sara Tina Vera")
	boys  = strings.Fields("Adam Ben Carl David Emil Finn Georg Hugo Ivan Jack Karl Leo Max Noah Otto Paul Rob Sam Tom Victor")

	kin     = []string{"mother", "father", "sister", "brother", "friend", "aunt", "uncle", "grandmother", "grandfather", "neighbour", "teacher"}
	animals = []string{"dog", "cat", "bird", "horse", "duck", "goat", "mouse", "rabbit", "hen", "fox", "turtle", "hedgehog", "donkey", "sheep"}
	places  = []string{"garden", "kitchen", "village", "forest", "school", "market", "library", "workshop", "station", "harbour", "park", "barn", "office", "cellar"}
	things  = []string{"key", "book", "lamp", "box", "letter", "ball", "coat", "clock", "cup", "hat", "basket", "ladder", "map", "bag", "radio", "chair", "computer", "drive", "screen", "keyboard"}
	colours = []string{"red", "blue", "green", "yellow", "white", "black", "brown", "grey"}
	sizes   = []string{"small", "big", "little", "large", "long", "round", "heavy", "light"}
	looks   = []string{"old", "new", "clean", "dusty", "pretty", "plain", "broken", "strange", "warm", "cold", "quiet", "simple"}
	moods   = []string{"happy", "sad", "tired", "hungry", "curious", "afraid", "proud", "angry", "calm", "glad", "surprised", "lonely"}
	foods   = []string{"bread", "soup", "an apple", "cheese", "a cake", "rice", "a pear", "an egg", "some nuts", "honey"}
	weather = []string{"It was raining.", "The sun was shining.", "It was snowing.", "The wind was cold.", "It was a warm day.", "There was fog everywhere.", "The night was clear.", "The sky was grey."}
	times   = []string{"One morning", "One day", "One evening", "Last summer", "In the winter", "Yesterday", "After school", "Before breakfast", "Late at night", "On the way home"}
	jobs    = []string{"baker", "farmer", "nurse", "teacher", "driver", "cook", "painter", "fisher", "gardener", "carpenter"}
	tidings = []string{"The bus is late.", "Supper is ready.", "The door is open.", "It is time to go.", "The lamp is on.", "I found a friend.", "We must wait.", "The water is cold.", "Nobody is at home.", "The shop is closed."}
)

func (s storyteller) person() person {
	if s.chance(0.5) {
		return person{s.pick(girls), "she", "her", "her"}
	}
	return person{s.pick(boys), "he", "his", "him"}
}

// another returns a person of another name.
func (s storyteller) another(p person) person {
	for {
		if q := s.person(); q.name != p.name {
			return q
		}
	}
}

// an puts the article before a noun and its adjectives.
func an(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// text returns a story or description.
func (s storyteller) text() string {
	kinds := []func() string{s.lost, s.lost, s.pet, s.visit, s.making, s.describe, s.talk, s.day, s.sharing, s.machine}
	return kinds[s.IntN(len(kinds))]()
}

func join(sentences ...string) string {
	var kept []string
	for _, t := range sentences {
		if t != "" {
			kept = append(kept, t)
		}
	}
	return strings.Join(kept, " ")
}

// maybe returns a sentence, or none.
func (s storyteller) maybe(sentence string) string {
	if s.chance(0.5) {
		return sentence
	}
	return ""
}

// lost: somebody loses a thing, looks for it, and finds it.
func (s storyteller) lost() string {
	p, place, other := s.person(), s.pick(places), s.pick(places)
	thing := s.pick(things)
	full := s.pick(append(colours, looks...)) + " " + thing
	he := upperFirst(p.he)
	helper := s.pick(kin)
	finds := []string{
		he + " found it in the " + other + ".",
		"At last " + p.he + " saw it under a bench in the " + other + ".",
		upperFirst(p.his) + " " + helper + " found it in the " + other + ".",
		"Then " + p.he + " remembered: it was in the " + other + ".",
	}
	return join(
		p.name+" had "+an(full)+".",
		s.maybe(he+" took it everywhere."),
		s.pick(times)+" the "+thing+" was gone.",
		s.maybe(s.pick(weather)),
		s.pick([]string{he + " looked in the " + place + ", but it was not there.", he + " went to the " + place + " and looked, but found nothing.", he + " asked " + p.his + " " + helper + ": \"Where is my " + thing + "?\""}),
		s.pick(finds),
		s.pick([]string{"Now " + p.name + " was " + s.pick([]string{"happy", "glad", "calm"}) + " again.", p.name + " never lost the " + thing + " again.", he + " put the " + thing + " in a safe place.", he + " laughed and went home."}),
	)
}

// pet: an animal wants something and gets it.
func (s storyteller) pet() string {
	p := s.person()
	animal, colour, food := s.pick(animals), s.pick(colours), s.pick(foods)
	return join(
		p.name+" had "+an(s.pick(sizes[:4])+" "+colour+" "+animal)+".",
		"The "+animal+" lived in the "+s.pick(places)+".",
		s.pick(times)+" the "+animal+" was "+s.pick([]string{"hungry", "sad", "tired", "lonely", "afraid"})+".",
		s.pick([]string{p.name + " gave it " + food + ".", p.name + " sat down beside it.", upperFirst(p.he) + " took it home.", upperFirst(p.he) + " spoke to it softly."}),
		s.maybe("They played until it was dark."),
		s.pick([]string{"After that the " + animal + " was happy.", "The " + animal + " fell asleep.", "The " + animal + " stayed with " + p.him + ".", "From then on they were friends."}),
	)
}

// visit: one person goes to another.
func (s storyteller) visit() string {
	p := s.person()
	q := s.another(p)
	place := s.pick(places)
	gift := s.pick(colours) + " " + s.pick(things)
	return join(
		s.pick(times)+" "+p.name+" went to see "+q.name+".",
		s.pick(weather),
		q.name+" was in the "+place+".",
		"\"I have something for you,\" said "+p.name+".",
		"It was "+an(gift)+".",
		s.pick([]string{q.name + " was very " + s.pick([]string{"happy", "glad", "surprised"}) + ".", "\"Thank you,\" said " + q.name + ".", upperFirst(q.he) + " smiled and thanked " + p.him + "."}),
		s.maybe("They ate "+s.pick(foods)+" together."),
		s.pick([]string{"Then " + p.name + " went home.", "In the evening they said goodbye.", "They talked for a long time.", "It was a good day."}),
	)
}

// making: somebody makes or mends a thing, step by step.
func (s storyteller) making() string {
	p := s.person()
	thing := s.pick(things)
	steps := []string{
		"First " + p.he + " cleaned the table.", "First " + p.he + " looked at it for a while.", "First " + p.he + " made a plan.",
	}
	return join(
		p.name+" wanted to mend "+an(s.pick([]string{"old", "broken", "dusty"})+" "+thing)+".",
		s.pick(steps),
		s.pick([]string{"Then " + p.he + " went to the " + s.pick(places) + " to get what was needed.", "Then " + p.he + " asked " + p.his + " " + s.pick(kin) + " for help.", "Then " + p.he + " began to work."}),
		s.maybe("It was not easy."),
		s.pick([]string{"In the end the " + thing + " was as good as new.", "After an hour the " + thing + " worked again.", "It took all day, but it was worth it."}),
		s.pick([]string{p.name + " was proud.", p.name + " showed it to everybody.", "\"Well done,\" said " + p.his + " " + s.pick(kin) + "."}),
	)
}

// describe: a place or thing as it is, in the present.
func (s storyteller) describe() string {
	place, colour := s.pick(places), s.pick(colours)
	thing := s.pick(things)
	if s.chance(0.5) {
		return join(
			"This is "+an(s.pick([]string{"old", "quiet", "little", "large"})+" "+place)+".",
			"In it there is "+an(colour+" "+thing)+".",
			s.maybe("Beside the "+thing+" there is "+an(s.pick(animals))+"."),
			"It is "+s.pick([]string{"cold", "warm", "quiet", "dark", "clean"})+" here, and "+s.pick([]string{"nobody speaks", "everybody is busy", "the door is open", "the window is closed"})+".",
			s.pick([]string{"I like this place.", "People come here every day.", "Only a few people know it.", "It has been like this for years."}),
		)
	}
	size := s.pick(sizes)
	return join(
		"Here is "+an(size+" "+thing)+".",
		"It is "+colour+" and "+s.pick([]string{"quite old", "almost new", "a bit dusty", "very clean", "rather heavy"})+".",
		s.pick([]string{"It belongs to", "It was made by", "It is a present for"})+" "+s.pick([]string{"the " + s.pick(jobs), s.person().name, "my " + s.pick(kin)})+".",
		s.pick([]string{"It is kept in the ", "It stands in the ", "You find it in the "})+place+".",
	)
}

// talk: a short conversation that is told.
func (s storyteller) talk() string {
	p := s.person()
	q := s.another(p)
	thing := s.pick(things)
	where := s.pick(places)
	ask := s.pick([]string{"Where is the " + thing + "?", "Did you see my " + thing + "?", "Who took the " + thing + "?"})
	reply := s.pick([]string{"It is in the " + where + ".", "I saw it in the " + where + ".", "Look in the " + where + "."})
	return join(
		"\""+ask+"\" asked "+p.name+".",
		"\""+reply+"\" said "+q.name+".",
		s.pick([]string{p.name + " went to the " + where + ".", upperFirst(p.he) + " looked there."}),
		s.pick([]string{"The " + thing + " was there.", "There it was.", "And so it was.", "But there was only " + an(s.pick(animals)) + "."}),
		s.maybe("\"Thank you, "+q.name+",\" said "+p.name+"."),
	)
}

// day: somebody's day from morning to evening.
func (s storyteller) day() string {
	p := s.person()
	job, place := s.pick(jobs), s.pick(places)
	he := upperFirst(p.he)
	return join(
		p.name+" is "+an(job)+".",
		"In the morning "+p.he+" eats "+s.pick(foods)+" and "+s.pick([]string{"reads a letter", "feeds the " + s.pick(animals), "opens the window", "listens to the radio"})+".",
		"Then "+p.he+" goes to the "+place+".",
		he+" works until "+s.pick([]string{"noon", "four", "five", "the evening"})+".",
		s.maybe("Sometimes "+p.his+" "+s.pick(kin)+" helps."),
		"At night "+p.he+" is "+s.pick([]string{"tired", "happy", "tired but happy", "calm"})+" and "+s.pick([]string{"goes to bed early", "reads a book", "looks at the stars", "writes a few lines"})+".",
	)
}

// sharing: two people want the same thing.
func (s storyteller) sharing() string {
	p := s.person()
	q := s.another(p)
	thing := s.pick(things)
	return join(
		p.name+" and "+q.name+" found "+an(s.pick(append(colours, looks...))+" "+thing)+".",
		"\"It is mine,\" said "+p.name+". \"No, it is mine,\" said "+q.name+".",
		s.maybe("Both were "+s.pick([]string{"angry", "sad"})+"."),
		s.pick([]string{"Then a " + s.pick(jobs) + " came by. \"Share it,\" said the " + "stranger.", "Then " + p.name + " had an idea. \"Let us share it.\"", "In the end they gave it to " + an(s.pick(jobs)) + "."}),
		s.pick([]string{"So they did, and they became friends.", "That was a good idea.", "After that nobody was " + s.pick(moods[6:8]) + " any more.", "They shook hands and went home."}),
	)
}

// machine: a story in which a small machine says something.
func (s storyteller) machine() string {
	p := s.person()
	return join(
		s.pick(times)+" "+p.name+" switched on the "+s.pick([]string{"computer", "machine", "radio", "screen"})+".",
		s.pick([]string{"At first nothing happened.", "A light came on.", "It was quiet for a moment."}),
		"Then a line appeared: \""+s.pick(tidings)+"\"",
		p.name+" was "+s.pick([]string{"surprised", "glad", "curious"})+".",
		s.pick([]string{upperFirst(p.he) + " read it twice.", upperFirst(p.he) + " wrote back: \"Who are you?\"", upperFirst(p.he) + " told " + p.his + " " + s.pick(kin) + "."}),
		s.pick([]string{"The next day there was another line.", "Nobody ever found out who had written it.", "Since then " + p.he + " looks every day.", "It was only the " + s.pick([]string{"neighbour", "teacher", "gardener"}) + "."}),
	)
}
