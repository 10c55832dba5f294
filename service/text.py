"""A text generator in ONNX: loading, checking and starting it."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from service.errors import ModelInvalidError, NotReadyError, PredictionFailedError
from service.onnx import first_line, open_session
from service.package import GRAPH_FILE, TOKENIZER_FILE, Descriptor, TextPart, read_file
from service.text_generation import Generation, Logits, Options, Tokens
from service.tokenizer import Tokenizer


class TextGenerator:
    """The text model whose package is in ``folder``."""

    def __init__(self, folder: Path, descriptor: Descriptor, *, intra_op_threads: int) -> None:
        if descriptor.text is None:
            raise ModelInvalidError(f"{descriptor.name} is not a text generator")
        self._folder = folder
        self._part: TextPart = descriptor.text
        self._threads = intra_op_threads
        self._session: ort.InferenceSession | None = None
        self._tokenizer: Tokenizer | None = None

    def load(self) -> None:
        """Open graph and tokenizer and check them against the descriptor; blocks.

        Raises ModelInvalidError with what is wrong.
        """
        graph = read_file(self._folder, GRAPH_FILE)
        session = open_session(graph, intra_op_threads=self._threads)
        vocabulary, context = self._part.vocabulary, self._part.context
        _check("input", session.get_inputs(), "tokens", "tensor(int64)", context)
        _check("output", session.get_outputs(), "logits", "tensor(float)", vocabulary)
        tokenizer = Tokenizer(read_file(self._folder, TOKENIZER_FILE))
        if tokenizer.vocabulary != vocabulary:
            raise ModelInvalidError(
                f"{TOKENIZER_FILE} has {tokenizer.vocabulary} tokens, the model {vocabulary}"
            )
        self._session, self._tokenizer = session, tokenizer

    def warm(self) -> None:
        """Take one token. Raises ModelInvalidError if the graph does not run."""
        try:
            self.start("", Options(max_tokens=1)).step()
        except Exception as error:
            raise ModelInvalidError(f"{GRAPH_FILE} does not run: {first_line(error)}") from None

    def start(self, prompt: str, options: Options) -> Generation:
        """A text that goes on from ``prompt``. Raises NotReadyError before the model is loaded."""
        if self._tokenizer is None:
            raise NotReadyError("the model is not loaded")
        return Generation(
            self._run, self._tokenizer, prompt, context=self._part.context, options=options
        )

    def _run(self, tokens: Tokens, options: ort.RunOptions | None) -> Logits:
        """The (vocabulary,) logits after (1, context) tokens; thread-safe."""
        if self._session is None:
            raise NotReadyError("the model is not loaded")
        logits: Logits = self._session.run(["logits"], {"tokens": tokens}, options)[0]
        if logits.shape != (1, self._part.vocabulary):
            raise PredictionFailedError("the model answers with another shape than it should")
        row: Logits = logits[0]
        return row


def _check(side: str, nodes: list[ort.NodeArg], name: str, kind: str, width: int) -> None:
    """Raise ModelInvalidError unless there is one node, of that name, type and width."""
    for node in nodes:
        # A width that the graph leaves open is known only from its answers.
        fits = len(node.shape) == 2 and (node.shape[1] == width or type(node.shape[1]) is not int)
        if len(nodes) == 1 and (node.name, node.type) == (name, kind) and fits:
            return
    found = ", ".join(f"{node.name} {node.type} {node.shape}" for node in nodes)[:200]
    raise ModelInvalidError(f"{GRAPH_FILE} has {side} {found}, not {name} {kind} [N, {width}]")
