"""Models as GGUF files, the format of llama.cpp and what is built on it.

`families` and `vocabulary` say how llama.cpp names what a model and its tokenizer have, and refuse
what it does not have; `rounding` chooses the numbers; `writing` writes the file tensor by tensor;
`runtime` runs it in llama.cpp, and `proof` compares that with the model in transformers. A file is
kept only if both are the same; `exporting` puts it together, with a Modelfile beside it.
"""
