//! Why an answer of airgate's differs from Airflow's on purpose. `docs/parity.md` has the same texts.

macro_rules! reasons {
    ($($name:ident: $text:literal,)*) => {
        /// Why an answer differs from Airflow's on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $text] $name,)*
        }

        /// All of them, each as a user is told.
        pub const TEXTS: &[(Reason, &str)] = &[$((Reason::$name, $text),)*];
    };
}

reasons! {
    MissingChallenge: "Airflow says 401 without saying how to log in; RFC 9110, section 15.5.2, asks for it.",
    ServerError: "Airflow fails with 500 where the input is bad; here that is a validation error.",
    AmbiguousTarget: "A target that two parties may read in two ways is refused.",
    LeadingSlashes: "The samples of Airflow's documentation have two slashes at the start; here they work.",
    RepeatedAuthorization: "With two `Authorization` headers, gate and upstream could believe different ones.",
    AuthenticationFirst: "Who has not said who they are learns nothing of routes and of valid input.",
    Basic: "Beyond Airflow: Basic works.",
    ControlCharacter: "A password with a control character is refused: for some databases it ends there.",
    HtmlPage: "FAB's user interface answers other methods of a token endpoint, with a page of HTML.",
    Vary: "What Airflow's server itself answers, a refusal or 500, says nothing of what varies and of CORS; here each answer does.",
    Framework: "The proxy framework refuses the request before the gate sees it.",
    OwnHeaders: "An answer of the gate's own, as Airflow 2's but for the headers: it says how to log in and what it varies by, and names an origin to who comes from there alone.",
    PublicRole: "Airflow 2 takes who is nobody for somebody with the role Public, and says 403, or answers. Here nobody is nobody: 401.",
    WholeChain: "The experimental API of Airflow 2 asks the first backend alone. Here all are asked.",
    ExperimentalError: "Airflow 2's experimental API refuses with a text or a page; here errors are JSON everywhere.",
    Unlimited: "Airflow 2 refuses a negative `limit`, or takes it and a large one for no limit at all; here it is lowered.",
    UnjudgedCookie: "Without Airflow's key nobody here can tell a good cookie from an old one, so that the password beside it decides.",
    ExactName: "The users file knows a name as it is written; FAB, in any case, and by the mail address.",
    Denied: "`deny_all` answers 403: no credential would help.",
    Clamped: "Neither Airflow lowers `page_limit` in the body of a list to its maximum, and Airflow fails with 500 where it is past 64 bits. Here it is lowered.",
    Origins: "Airflow 3 takes a list of origins with spaces for one origin, which none is equal to; Airflow 2 names its whole list, or the first of it, to everybody, and takes any preflight for good. Here CORS is as in Airflow 3 with commas: an origin of the list is named to who comes from there, and to nobody else.",
    Unending: "Airflow exchanges an assertion that never ends. Here one without an end is refused.",
    Outlived: "Airflow's token outlives the assertion that it was exchanged for. Here it ends with it.",
    Ended: "When the Keycloak token inside has ended, and nothing renews it, Airflow answers 403, or 404 where it has no route. Here it is 401 `Token Expired`, which tells clients to log in again.",
    NoPolicy: "With methods alone, and no origins, Airflow says on each answer that credentials are allowed, which means nothing to a browser without an origin. airgate has no policy then, and its own answers do not say it.",
    CrossSite: "A change that a page of a foreign origin asks for, with a credential that browsers send by themselves, is refused before Airflow looks at what is asked for.",
    Directory: "For a name with spaces around it that the directory takes, Airflow fails with 500. Here it is the user whom the directory names.",
    Translated: "Airflow 3 answers here for Airflow 2: it tells no ids, fewer attributes of a task, and no lineage; a run has another page, and a file is no page to a browser.",
    Rights: "Airflow 2's experimental API does not look at what a user may do. Here it is what the user may do in Airflow 3.",
    OtherScheme: "Airflow 2 takes any word before a ticket for `Negotiate`. Here `Negotiate` is the scheme of tickets, and no other.",
    BadTicket: "To a ticket that is not good Airflow 2's experimental API says 403, or fails with 500. Here it is 401, as for any credential that is not good.",
    Proof: "With a good ticket Airflow 2 proves who it is on its experimental API alone. Here each answer to one does.",
    OwnKey: "The key of the tokens is another one than it was when Airflow answered, and so is its id.",
}
