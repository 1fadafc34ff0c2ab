"""A real cross-encoder of a few hundred weights, which are set by hand, so that its order is known."""

from __future__ import annotations

from pathlib import Path

GOOD = "best"
"""The word that the model likes: the more of a pair it is, the higher the score."""


def save_cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    """Save the model. It attends to all tokens alike, so its score depends on the share of the good word alone."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {name: place for place, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", GOOD))}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=64,
        num_labels=labels,
    )
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
        words = model.bert.embeddings.word_embeddings.weight
        words[:] = torch.tensor([0.0, 1.0, 0.0, -1.0])
        words[vocabulary[GOOD]] = torch.tensor([1.0, 0.0, -1.0, 0.0])
        attention = model.bert.encoder.layer[0].attention
        for layer in (attention.self.value, attention.output.dense, model.bert.pooler.dense):
            layer.weight.copy_(torch.eye(4))
        model.classifier.weight[0] = torch.tensor([4.0, -4.0, 0.0, 0.0])
    model.save_pretrained(folder)
    return folder
