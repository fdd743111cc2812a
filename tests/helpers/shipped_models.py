"""Names the shipped model configs with the architecture, layers and kind of SAE of each."""

SHIPPED_MODELS = {
    "gemma3-270m-it": ("gemma3_text", 18, "jumprelu"),
    "gemma3-1b-it": ("gemma3_text", 18, "jumprelu"),
    "gemma3-4b-it": ("gemma3", 42, "jumprelu"),
    "gemma3-12b-it": ("gemma3", 42, "jumprelu"),
    "gemma3-27b-it": ("gemma3", 42, "jumprelu"),
    "llama3.1-8b-it": ("llama", 51, "jumprelu"),
    "llama3.1-8b-it-goodfire": ("llama", 51, "standard"),
    "llama3.3-70b-it": ("llama", 51, "standard"),
    "deepseek-r1-distill-llama-8b": ("llama", 51, "jumprelu"),
    "qwen3-8b": ("qwen3", 24, "topk"),
    "qwen3.5-9b": ("qwen3_5", 24, "topk"),
    "gpt-oss-20b": ("gpt_oss", 16, "jumprelu"),
}
"""A config's name, the architecture and blocks of its tiny stand-in, and the kind of its SAE."""
