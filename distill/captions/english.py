"""The little English that captions need: the third person, the -ing form, and clauses of them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

VOWELS = "aeiou"


def third_person(verb: str) -> str:
    """The form after a singular subject: bark -> barks, cry -> cries, pass -> passes."""
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ies"
    if verb.endswith(("s", "x", "z", "ch", "sh")) or (verb[-1] == "o" and verb[-2] not in VOWELS):
        return verb + "es"
    return verb + "s"


def ing_form(verb: str) -> str:
    """The present participle: bark -> barking, chime -> chiming, hum -> humming."""
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return verb[:-1] + "ing"
    if _doubles(verb):
        return verb + verb[-1] + "ing"
    return verb + "ing"


def _doubles(verb: str) -> bool:
    """Whether the last letter is doubled: one syllable that ends in one vowel and one consonant."""
    kinds = "".join("v" if letter in VOWELS else "c" for letter in verb)
    syllables = len([part for part in kinds.split("c") if part])
    return syllables == 1 and kinds.endswith("cvc") and verb[-1] not in "wxy"


@dataclass(frozen=True)
class Wording:
    """A subject, a verb in its plain form, and what follows the verb."""

    subject: str
    plural: bool
    verb: str
    rest: str

    def simple(self) -> str:
        """As in "a dog barks"."""
        return self._join(self.verb if self.plural else third_person(self.verb))

    def continuous(self) -> str:
        """As in "a dog is barking"."""
        return self._join(f"{'are' if self.plural else 'is'} {ing_form(self.verb)}")

    def gerund(self) -> str:
        """As in "a dog barking", which can follow "with" and "followed by"."""
        return self._join(ing_form(self.verb))

    def _join(self, verb: str) -> str:
        return " ".join(part for part in (self.subject, verb, self.rest) if part)


def parse_wording(text: str) -> Wording:
    """The wording that "subject / verb / rest" describes; a star marks a plural subject.

    Raises: ValueError if it is not of this shape.
    """
    subject, verb, *rest = (part.strip() for part in text.split("/"))
    if len(rest) > 1 or " " in verb or not subject or not verb:
        raise ValueError(f"{text!r} is not 'subject / verb / rest'")
    return Wording(subject.rstrip("*"), subject.endswith("*"), verb, "".join(rest))


def normalise(caption: str) -> str:
    """`caption` in lower case, no punctuation, single spaces; apostrophes within words stay."""
    text = unicodedata.normalize("NFKC", caption.replace("’", "'")).lower()
    # By category: letters of some scripts carry marks that the classes of `re` leave out.
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join(bare for word in kept.split() if (bare := word.strip("'")))
