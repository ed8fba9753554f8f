//! How a request ended, as one word of a closed list: the `outcome` of access records, metrics and
//! `explain`.

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeLabel {
    /// The upstream answered it.
    Forwarded,
    /// The gateway answered it itself.
    Answered,
    /// The gateway redirected the client, in most cases to the sign-in form.
    Redirected,
    /// The gateway refused it: the client may not do this, or not in this way.
    Refused,
    /// The gateway, or something behind it, failed.
    Failed,
}

impl OutcomeLabel {
    /// Every label, in the order of their declaration: `label as usize` is its index.
    pub const ALL: &'static [Self] = &[
        Self::Forwarded,
        Self::Answered,
        Self::Redirected,
        Self::Refused,
        Self::Failed,
    ];

    /// The word in logs, metrics and the output of `explain`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::Redirected => "redirected",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_labels_are_listed_in_the_order_of_their_index() {
        let words: Vec<&str> = OutcomeLabel::ALL
            .iter()
            .map(|label| label.as_str())
            .collect();
        assert_eq!(
            words,
            ["forwarded", "answered", "redirected", "refused", "failed"]
        );
        for (index, label) in OutcomeLabel::ALL.iter().enumerate() {
            assert_eq!(*label as usize, index);
        }
    }
}
