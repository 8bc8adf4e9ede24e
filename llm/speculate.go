package llm

// maxDraft is how many tokens a draft has at most.
const maxDraft = 7
