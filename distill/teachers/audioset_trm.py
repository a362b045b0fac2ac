"""What every teacher can do, and `audioset-trm`, the teacher of the bundle that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from distill.errors import CorpusError
from distill.models.beam_search import beam_search
from distill.models.checkpoint import DAMAGE
from distill.models.student import Decoder, StudentSpec
from distill.models.vocabulary import Vocabulary
from distill.teachers.tagger import EMBEDDING_DIM, SAMPLE_RATE, Tagger


class Teacher(Protocol):
    """Listens to clips and writes captions of them."""

    name: str
    sample_rate: int  # Hz, of the audio it takes
    dim: int  # of its clip embedding
    longest_s: float  # seconds of audio that it hears; what follows is not heard

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Clip embeddings (batch, dim) and memory (batch, length, dim) of (batch, samples)."""

    def write(self, memory: Tensor, beam: int = 3) -> list[str]:
        """A caption for each of `memory`, by beam search."""


class AudioSetTrm:
    """The AudioSet tagger, as it is, with a Transformer decoder that was trained on scenes."""

    name = "audioset-trm"
    sample_rate = SAMPLE_RATE
    dim = EMBEDDING_DIM
    longest_s = 30.0

    def __init__(self, tagger: Tagger, vocabulary: Vocabulary) -> None:
        self.tagger, self.vocabulary = tagger, vocabulary
        self.decoder = Decoder(StudentSpec(len(vocabulary.words)), EMBEDDING_DIM)

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.tagger.memory(audio)
        return memory.mean(1), memory

    def write(self, memory: Tensor, beam: int = 3) -> list[str]:
        ids = beam_search(self.decoder.eval(), memory, beam)
        return [self.vocabulary.decode(row) for row in ids]

    def save(self, path: Path) -> None:
        """Write the decoder; the tagger's values stay where they are."""
        torch.save(
            {"words": self.vocabulary.words, "decoder": self.decoder.state_dict()},
            path.with_suffix(".part"),
        )
        path.with_suffix(".part").replace(path)

    @classmethod
    def load(cls, path: Path, tagger: Tagger) -> AudioSetTrm:
        """Raises: CorpusError if there is no trained decoder at `path`."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            teacher = cls(tagger, Vocabulary(state["words"]))
            teacher.decoder.load_state_dict(state["decoder"])
        except FileNotFoundError:
            raise CorpusError(
                f"{path}: no such file; aac-distill prepare trains the teacher and writes it"
            ) from None
        except (OSError, *DAMAGE):
            raise CorpusError(f"{path}: is damaged; remove it and prepare again") from None
        return teacher
