"""Published checkpoints by name, from the Hugging Face hub into its own cache."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge.errors import BundleError

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that is there is taken
TOKENIZERS = {  # where a model's is, if not with the model
    "wsntxxn/effb2-trm-audio-captioning": "wsntxxn/audiocaps-simple-tokenizer",
    "wsntxxn/effb2-trm-clotho-captioning": "wsntxxn/clotho-simple-tokenizer",
}
NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Fetched:
    """What is in the cache now; `load_published` takes all three."""

    folder: Path  # config.json and the weights
    tokenizer: Path  # tokenizer.json
    source: str  # owner/name@revision


def is_name(text: str) -> bool:
    """Whether `text` has the form owner/name, as a model on the hub."""
    return NAME.fullmatch(text) is not None


def fetch(name: str) -> Fetched:
    """The files of the checkpoint `name` (owner/name) that an import needs, and no others.

    Without internet, those that an earlier call left in the cache.

    Raises: BundleError if it is no such name, or cannot be downloaded.
    """
    if not is_name(name):
        example = next(iter(TOKENIZERS))
        raise BundleError(f"{name}: is neither a folder nor a name such as {example}")
    offline = _is_out_of_reach(name)
    config = _download(name, CONFIG, offline=offline)
    revision = config.parent.name
    _download(name, *WEIGHTS, revision=revision, offline=offline)
    if name in TOKENIZERS:
        tokenizer = _download(TOKENIZERS[name], TOKENIZER, offline=offline)
    else:
        tokenizer = _download(name, TOKENIZER, revision=revision, offline=offline)
    return Fetched(config.parent, tokenizer, f"{name}@{revision}")


def _is_out_of_reach(repository: str) -> bool:
    """Whether the hub does not answer; a download would ask for half a minute, and log it."""
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise BundleError(
            f"{repository}: needs huggingface_hub to be downloaded; "
            "type: pip install 'aac-stream[import]'"
        ) from None
    try:
        get_hf_file_metadata(hf_hub_url(repository, CONFIG))
    except HfHubHTTPError:
        return False
    except Exception:  # there is no connection in as many ways as there are HTTP clients
        return True
    return False


def _download(
    repository: str, *files: str, revision: str | None = None, offline: bool = False
) -> Path:
    """The first of `files` that `repository` has; if `offline`, that the cache has."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    elsewhere = "download it elsewhere and give its folder"
    reached = True
    for file in files:
        try:
            return Path(
                hf_hub_download(repository, file, revision=revision, local_files_only=offline)
            )
        except LocalEntryNotFoundError:  # it may be there, but could not be asked for
            reached = False
        except EntryNotFoundError:
            pass
        except GatedRepoError:
            raise BundleError(
                f"{repository}: its owner must let you in; ask for access on its page and log in "
                f"(hf auth login), or {elsewhere}"
            ) from None
        except RepositoryNotFoundError:
            raise BundleError(
                f"{repository}: no such repository on the hub, or a private one; check the name, "
                "or log in (hf auth login)"
            ) from None
        except Exception as error:  # of every kind: the connection, the server, the disk
            reason = " ".join(str(error).split())[:200]
            raise BundleError(
                f"{repository}: {file} cannot be downloaded ({reason}); try again, or {elsewhere}"
            ) from None
    if not reached:
        raise BundleError(
            f"{repository}: the hub cannot be reached; check the connection, or {elsewhere}"
        )
    raise BundleError(f"{repository}: holds no {' or '.join(files)}; check the name")
