"""OpenAI-compatible servers: vLLM, SGLang, llama.cpp, Ollama, OpenAI and gateways."""
