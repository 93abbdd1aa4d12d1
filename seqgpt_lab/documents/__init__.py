"""Labelled documents and the files they are kept in; knows no model, no prompt and no score."""

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.formats import load_documents
from seqgpt_lab.documents.jsonl import read_jsonl, write_jsonl
from seqgpt_lab.documents.reading import Problem, Reading, read_text

__all__ = ["Document", "Entity", "Problem", "Reading", "load_documents", "read_jsonl", "read_text", "write_jsonl"]
