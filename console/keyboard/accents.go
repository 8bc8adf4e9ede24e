package keyboard

import "slices"

// dead lists the dead keys by their accents: first the accent as a character of its own, then each letter that
// takes it, followed by the two together.
var dead = map[rune][]rune{
	'ˋ': []rune("`" + "aàAÀeèEÈiìIÌoòOÒuùUÙ"),
	'´': []rune("´" + "aáAÁcćCĆeéEÉiíIÍlĺLĹnńNŃoóOÓrŕRŔsśSŚuúUÚyýYÝzźZŹ"),
	'ˆ': []rune("^" + "aâAÂcĉCĈeêEÊgĝGĜhĥHĤiîIÎjĵJĴoôOÔsŝSŜuûUÛwŵWŴyŷYŶ"),
	'˜': []rune("~" + "aãAÃiĩIĨnñNÑoõOÕuũUŨ"),
	'¨': []rune("¨" + "aäAÄeëEËiïIÏoöOÖuüUÜyÿYŸ"),
	'˚': []rune("°" + "aåAÅuůUŮ"),
	'¸': []rune("¸" + "cçCÇgģGĢkķKĶlļLĻnņNŅrŗRŖsşSŞtţTŢ"),
	'ˇ': []rune("ˇ" + "cčCČdďDĎeěEĚlľLĽnňNŇrřRŘsšSŠtťTŤzžZŽ"),
	'˘': []rune("˘" + "aăAĂeĕEĔgğGĞiĭIĬoŏOŎuŭUŬ"),
	'˙': []rune("˙" + "cċCĊeėEĖgġGĠIİzżZŻ"),
	'˝': []rune("˝" + "oőOŐuűUŰ"),
	'˛': []rune("˛" + "aąAĄeęEĘiįIĮuųUŲ"),
	'¯': []rune("¯" + "aāAĀeēEĒiīIĪoōOŌuūUŪ"),
}

// compose returns a letter with an accent, or 0 if there is no such letter.
func compose(accent, letter rune) rune {
	pairs := dead[accent][1:]
	for pair := range slices.Chunk(pairs, 2) {
		if pair[0] == letter {
			return pair[1]
		}
	}
	return 0
}
