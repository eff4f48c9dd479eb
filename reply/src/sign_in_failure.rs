//! The ways a sign-in can come to nothing, and their words.

use http::StatusCode;

/// Why a sign-in came to nothing, as far as the person may know. The log knows more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignInFailure {
    /// It took longer than ten minutes.
    Expired,
    /// It was begun in another browser, or this one lost its cookie.
    OtherBrowser,
    /// A link of ours that was changed, cut off, or made for something else.
    LinkInvalid,
    /// The hand-over was used before: back button, or a second tab.
    AlreadyUsed,
    /// The person or the provider said no (`access_denied`).
    RefusedByProvider,
    /// The provider reported an error, or its answer does not hold.
    ProviderAnswer,
    /// `email_verified` is not true, and this provider's configuration asks for it.
    EmailUnverified,
    /// The provider says more about the person than a session may carry.
    TooManyClaims,
    /// The provider only refers to the groups instead of naming them, or names them in a way nobody can read.
    GroupsLeftOut,
    /// The person signed in just now, and not recently or strongly enough for the site.
    NotEnough,
    /// No provider of the configuration may sign people in here.
    NoProvider,
}

impl SignInFailure {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Expired | Self::OtherBrowser | Self::LinkInvalid | Self::AlreadyUsed => StatusCode::BAD_REQUEST,
            Self::RefusedByProvider
            | Self::EmailUnverified
            | Self::TooManyClaims
            | Self::GroupsLeftOut
            | Self::NotEnough
            | Self::NoProvider => StatusCode::FORBIDDEN,
            Self::ProviderAnswer => StatusCode::BAD_GATEWAY,
        }
    }

    /// Names it for programs.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Expired => "sign-in-expired",
            Self::OtherBrowser => "sign-in-other-browser",
            Self::LinkInvalid => "sign-in-link-invalid",
            Self::AlreadyUsed => "sign-in-already-used",
            Self::RefusedByProvider => "sign-in-refused",
            Self::ProviderAnswer => "sign-in-provider-answer",
            Self::EmailUnverified => "sign-in-email-unverified",
            Self::TooManyClaims => "sign-in-too-many-claims",
            Self::GroupsLeftOut => "sign-in-groups-left-out",
            Self::NotEnough => "sign-in-not-enough",
            Self::NoProvider => "sign-in-no-provider",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Expired => "This sign-in took too long",
            Self::OtherBrowser => "This sign-in belongs to another browser",
            Self::LinkInvalid => "This link does not work",
            Self::AlreadyUsed => "This sign-in was used already",
            Self::RefusedByProvider => "Your provider did not sign you in",
            Self::ProviderAnswer => "Your provider’s answer can’t be used",
            Self::EmailUnverified => "Your e-mail address is not verified",
            Self::TooManyClaims => "Your account carries too much information",
            Self::GroupsLeftOut => "Your groups are not known",
            Self::NotEnough => "This sign-in is not enough for the site",
            Self::NoProvider => "There is no way to sign in here",
        }
    }

    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::Expired => "For your safety a sign-in must be completed within ten minutes.",
            Self::OtherBrowser => {
                "It was begun elsewhere, or this browser did not keep our cookie. It can only be completed there."
            }
            Self::LinkInvalid => "It is incomplete, out of date, or was made for another site.",
            Self::AlreadyUsed => "Each one works once. You may be signed in by now.",
            Self::RefusedByProvider => "The sign-in was cancelled, or your provider does not let you use it here.",
            Self::ProviderAnswer => "What your provider sent back did not pass our checks, so nobody was signed in.",
            Self::EmailUnverified => {
                "Your provider has not confirmed that the address is yours. Verify it there, then sign in again."
            }
            Self::TooManyClaims => {
                "Your provider tells more about you than a session can hold, usually because of very many groups."
            }
            Self::GroupsLeftOut => {
                "Your provider did not say which groups you are in, usually because there are too many to list. Access \
                 here depends on them. Whoever runs this site can have the provider send fewer."
            }
            Self::NotEnough => {
                "You signed in, but the site asks for a more recent or a stronger sign-in than your provider gave. We \
                 stopped instead of sending your browser in circles."
            }
            Self::NoProvider => "Nobody has set up the provider that this site asks for.",
        }
    }
}
