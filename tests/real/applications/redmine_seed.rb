# Run by `rails runner`: two users with a password of Redmine's own, and a project. Prints an API key.
Setting.rest_api_enabled = "1"
Redmine::DefaultData::Loader.load("en")
users = %w[ada grace].map do |login|
  user = User.new(firstname: login.capitalize, lastname: "Porch", mail: "#{login}@example.com", language: "en")
  user.login = login
  user.password = user.password_confirmation = ENV.fetch("PASSWORD")
  user.save!
  user
end
project = Project.create!(name: "Porch", identifier: "porch", is_public: true)
project.trackers = Tracker.all
project.enabled_module_names = %w[issue_tracking]
role = Role.find_by!(name: "Developer")
users.each { |user| Member.create!(project: project, principal: user, roles: [role]) }
puts users.first.api_key
